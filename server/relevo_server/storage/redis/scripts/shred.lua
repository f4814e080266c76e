-- Delete a tenant's data key, and end all of its entries as in invalidate_tenant.lua, in one step.
-- KEYS: state, log, data keys
-- ARGV: log length, the field of the tenant's floor, tenant, the principal ('' for none)
-- Returns: {the revision, 1 if there was a data key or 0}

local last = redis.call('HGET', KEYS[1], 'revision')
local event = signed(ARGV[4], '', 'op', 'floor', 'tenant', ARGV[3], 'scope', '')
local revision = append(KEYS[2], ARGV[1], last, unpack(event))
advance(KEYS[1], KEYS[2], last, revision, ARGV[2], revision)
return {revision, redis.call('HDEL', KEYS[3], ARGV[3])}
