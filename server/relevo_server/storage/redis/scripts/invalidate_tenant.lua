-- End all entries of a tenant, or of one scope of it, in one step: a floor.
-- KEYS: state, log, and the request's record if there is a request_id
-- ARGV: log length, the field of the floor, tenant, scope or '', and for a request: its
--       fingerprint, its ttl in ms
-- Answer: {the revision, 0}, the same for a request that was answered before; {'reused'}

local earlier = recall(KEYS[3], ARGV[5])
if earlier then return earlier end
local last = redis.call('HGET', KEYS[1], 'revision')
local revision = append(KEYS[2], ARGV[1], last, 'op', 'floor', 'tenant', ARGV[3], 'scope', ARGV[4])
redis.call('HSET', KEYS[1], 'revision', revision, ARGV[2], revision)
remember(KEYS[3], ARGV[5], ARGV[6], revision, 0)
return {revision, 0}
