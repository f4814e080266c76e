-- Return how far a partition's log reaches.
-- KEYS: state, log
-- Returns: {revision, the number of events, the first event's id}; '0-0' for an id that is none,
--          and no events if the log is not a stream

-- A write that changes nothing: replicas, which may lag behind, refuse it, so only a
-- master answers.
redis.call('HDEL', KEYS[1], 'none')

local revision = redis.call('HGET', KEYS[1], 'revision')
local length = redis.pcall('XLEN', KEYS[2])
local first = redis.pcall('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)
local id = not first.err and first[1] and first[1][1]
return {
  is_revision(revision) and revision or '0-0',
  type(length) == 'number' and length or 0,
  is_revision(id) and id or '0-0',
}
