-- Return some of a partition's data keys.
-- KEYS: data keys
-- ARGV: the cursor, '0' for the beginning; about how many
-- Returns: {the next cursor, '0' at the end; {tenant, wrapped data key, ...}}

require_master(KEYS[1])

return redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
