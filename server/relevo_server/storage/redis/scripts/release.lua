-- End a lease, if it is held with this token, with an event for the callers that wait for it.
-- KEYS: state, log, lease
-- ARGV: log length, name of the entry, proof of the token
-- Returns: nothing

local token, lease = find_lease(KEYS[3], ARGV[3])
if lease[1] ~= token then return end
local last = redis.call('HGET', KEYS[1], 'revision')
local revision = append(KEYS[2], ARGV[1], last, 'op', 'release', 'key', ARGV[2])
advance(KEYS[1], KEYS[2], last, revision)
redis.call('DEL', KEYS[3])
