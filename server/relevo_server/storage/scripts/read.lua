-- Read entries of one partition as they are together.
-- KEYS: state, entry...
-- ARGV: for each entry, the fields of its tenant's floor and its scope's floor; then
--       for each, or for none, the version that the reader has
-- Answer: revision, then for each entry {its key} or
--         {its key, version, created, milliseconds left, context}; the context is
--         left out where the reader has this version

-- A write that changes nothing: a replica, which may be behind, refuses it, and so
-- never answers a read.
redis.call('HDEL', KEYS[1], 'none')

local count = #KEYS - 1
local state = redis.call('HMGET', KEYS[1], 'revision', unpack(ARGV, 1, 2 * count))
local answer = {state[1] or '0-0'}
for i = 1, count do
  local key, known = KEYS[i + 1], ARGV[2 * count + i]
  local entry = known and redis.call('HMGET', key, 'version', 'created')
    or redis.call('HMGET', key, 'version', 'created', 'context')
  local version = entry[1]
  if version and above(version, state[2 * i]) and above(version, state[2 * i + 1]) then
    if known and version ~= known then entry[3] = redis.call('HGET', key, 'context') end
    answer[i + 1] = {key, version, entry[2], redis.call('PTTL', key), entry[3]}
  else
    answer[i + 1] = {key}
  end
end
return answer
