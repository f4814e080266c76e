-- Record the layout of a store that has none, and return the recorded one.
-- KEYS: layout
-- ARGV: partitions, version of the layout
-- Returns: {partitions, version of the layout, the check of the key ring or false}

require_master(KEYS[1])

local layout = redis.call('HMGET', KEYS[1], 'partitions', 'version', 'ring')
if layout[1] then return layout end
-- Only now a write that takes memory: a store without free memory still answers reads.
redis.call('HSET', KEYS[1], 'partitions', ARGV[1], 'version', ARGV[2])
return {ARGV[1], ARGV[2], false}
