-- Read entries of one partition as they are together.
-- KEYS: state, entry...
-- ARGV: for each entry, the fields of its tenant's floor and its scope's floor
-- Answer: revision, then for each entry {its key} or
--         {its key, version, created, milliseconds left, context}

-- A write that changes nothing: a replica, which may be behind, refuses it, and so
-- never answers a read.
redis.call('HDEL', KEYS[1], 'none')

local state = redis.call('HMGET', KEYS[1], 'revision', unpack(ARGV))
local answer = {state[1] or '0-0'}
for i = 1, #KEYS - 1 do
  local key = KEYS[i + 1]
  local entry = redis.call('HMGET', key, 'version', 'created', 'context')
  local version = entry[1]
  if version and above(version, state[2 * i]) and above(version, state[2 * i + 1]) then
    answer[i + 1] = {key, version, entry[2], redis.call('PTTL', key), entry[3]}
  else
    answer[i + 1] = {key}
  end
end
return answer
