-- Begin a recount of a partition: from now on, what is added is counted beside it.
-- KEYS: usage
-- ARGV: the recount's number, which no other has
-- Returns: nothing

redis.call('HSET', KEYS[1], 'recount', ARGV[1])
