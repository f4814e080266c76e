-- Take the turn to recount what tenants have in the store, or keep it: one recount runs at a time.
-- KEYS: the turn's record
-- ARGV: the recount's number; for how long no other has a turn, in ms
-- Returns: 1 if this recount has the turn, else 0

local holder = redis.call('HGET', KEYS[1], 'recount')
if holder and holder ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'recount', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
