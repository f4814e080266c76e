-- Record the layout of a store that has none, and answer the recorded one.
-- KEYS: layout
-- ARGV: partitions, version of the layout
-- Answer: {partitions, version of the layout}

-- A write that changes nothing: a replica refuses it.
redis.call('HDEL', KEYS[1], 'none')

local layout = redis.call('HMGET', KEYS[1], 'partitions', 'version')
if layout[1] then return layout end
-- Only now one that takes memory: a store that has none left still answers reads.
redis.call('HSET', KEYS[1], 'partitions', ARGV[1], 'version', ARGV[2])
return ARGV
