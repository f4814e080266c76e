-- Take the turn to recount what tenants have in the store, for one server at a time.
-- KEYS: the turn's record
-- ARGV: for how long nobody else gets a turn, in ms
-- Returns: 1 if the caller has the turn, else 0

local is_free = redis.call('HSETNX', KEYS[1], 'taken', 1)
if is_free == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return is_free
