-- Return names of records of one partition, a part of all names at a time. This is a script
-- because its key leads it to the partition's node of a Cluster: SCAN itself has no key.
-- KEYS: state
-- ARGV: the cursor, '0' for the beginning; a pattern of names; about how many names to search
-- Returns: {the next cursor, '0' at the end, names that match}

require_master(KEYS[1])

return redis.call('SCAN', ARGV[1], 'MATCH', ARGV[2], 'COUNT', ARGV[3])
