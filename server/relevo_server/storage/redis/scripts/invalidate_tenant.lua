-- End all entries of a tenant, or of one of its scopes, in one step by raising a floor.
-- KEYS: state, log, and with a request_id the request's record
-- ARGV: log length, the field of the floor, tenant, scope or '', the principal ('' for none),
--       and with a request_id: the request's fingerprint and the record's ttl in ms
-- Returns: {the revision, 0}, the same for a repeated request; {'reused'} if another
--          request had the request_id

local earlier = recall(KEYS[3], ARGV[6], INVALIDATE)
if earlier then return earlier end
local last = redis.call('HGET', KEYS[1], 'revision')
local event = signed(ARGV[5], '', 'op', 'floor', 'tenant', ARGV[3], 'scope', ARGV[4])
local revision = append(KEYS[2], ARGV[1], last, unpack(event))
advance(KEYS[1], KEYS[2], last, revision, ARGV[2], revision)
return remember(KEYS[3], ARGV[6], ARGV[7], INVALIDATE, {revision, 0})
