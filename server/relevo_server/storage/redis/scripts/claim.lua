-- Record the layout of a store that has none, and return the recorded one.
-- KEYS: layout
-- ARGV: partitions, version of the layout
-- Returns: {partitions, version of the layout}

-- A write that changes nothing: replicas refuse it, so only a master answers.
redis.call('HDEL', KEYS[1], 'none')

local layout = redis.call('HMGET', KEYS[1], 'partitions', 'version')
if layout[1] then return layout end
-- Only now a write that takes memory: a store without free memory still answers reads.
redis.call('HSET', KEYS[1], 'partitions', ARGV[1], 'version', ARGV[2])
return ARGV
