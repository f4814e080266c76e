-- Return the recorded answer of an earlier write with a request_id.
-- KEYS: the request's record
-- ARGV: the request's fingerprint
-- Returns: as write.lua, or {'unknown'} if there is no record

local earlier = redis.call('HMGET', KEYS[1], 'fingerprint', 'version', 'created', 'ttl')
if not earlier[1] then return {'unknown'} end
if earlier[1] ~= ARGV[1] then return {'reused'} end
return {'written', earlier[2], earlier[3], earlier[4]}
