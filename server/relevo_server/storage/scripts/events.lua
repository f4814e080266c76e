-- The events of a partition from an id on.
-- KEYS: log
-- ARGV: the first id, how many events
-- Answer: {id, {name, value...}} for each event

return redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', ARGV[2])
