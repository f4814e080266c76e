-- Read entries of one partition as they are together.
-- KEYS: state, entry...
-- ARGV: for each entry, the fields of its tenant's floor and its scope's floor
-- Answer: revision, then for each entry {its key} or
--         {its key, version, created, milliseconds left, context}

local state = redis.call('HMGET', KEYS[1], 'revision', unpack(ARGV))
local answer = {state[1] or '0-0'}
for i = 2, #KEYS do
  local entry = redis.call('HMGET', KEYS[i], 'version', 'created', 'context')
  local version = entry[1]
  if version and above(version, state[2 * i - 2]) and above(version, state[2 * i - 1]) then
    answer[i] = {KEYS[i], version, entry[2], redis.call('PTTL', KEYS[i]), entry[3]}
  else
    answer[i] = {KEYS[i]}
  end
end
return answer
