-- Return how far a partition's log reaches.
-- KEYS: state, log
-- Returns: {revision, the number of events, the first event's id}; '0-0' without a revision or
--          an event; no events if the log is not a stream

require_master(KEYS[1])

local first = log_length(KEYS[2]) > 0 and find_events('XRANGE', KEYS[2], '-', '+', 1)[1]
return {last_revision(KEYS[1], KEYS[2]), log_length(KEYS[2]), first and first[1] or '0-0'}
