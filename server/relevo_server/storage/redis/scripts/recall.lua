-- What an earlier write with a request_id came to.
-- KEYS: the request's record
-- ARGV: its fingerprint
-- Answer: as write.lua, or {'unknown'}

local earlier = redis.call('HMGET', KEYS[1], 'fingerprint', 'version', 'created', 'ttl')
if not earlier[1] then return {'unknown'} end
if earlier[1] ~= ARGV[1] then return {'reused'} end
return {'written', earlier[2], earlier[3], earlier[4]}
