-- Record the layout of a store that has none, and answer the recorded one.
-- KEYS: layout
-- ARGV: partitions, version of the layout
-- Answer: {partitions, version of the layout}

redis.call('HSETNX', KEYS[1], 'partitions', ARGV[1])
redis.call('HSETNX', KEYS[1], 'version', ARGV[2])
return redis.call('HMGET', KEYS[1], 'partitions', 'version')
