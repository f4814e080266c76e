-- Return names of records of one partition, a part of all names at a time. Which node has the
-- partition is known from the key of a script only: SCAN itself goes to any node of a Cluster.
-- KEYS: state
-- ARGV: the cursor, '0' for the beginning; a pattern of names; about how many names to search
-- Returns: {the next cursor, '0' at the end, names that match}

require_master(KEYS[1])

return redis.call('SCAN', ARGV[1], 'MATCH', ARGV[2], 'COUNT', ARGV[3])
