-- End all entries of a tenant, or of one scope of it, in one step: a floor.
-- KEYS: state, log
-- ARGV: log length, the field of the floor, tenant, scope or ''
-- Answer: the revision

local last = redis.call('HGET', KEYS[1], 'revision')
local revision = append(KEYS[2], ARGV[1], last, 'op', 'floor', 'tenant', ARGV[3], 'scope', ARGV[4])
redis.call('HSET', KEYS[1], 'revision', revision, ARGV[2], revision)
return revision
