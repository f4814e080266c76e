-- Return the last events of a partition's log before an id, the newest first.
-- KEYS: state, log
-- ARGV: the id, '' for the end of the log; the most events
-- Returns: {revision, the number of events in the log, events}, each event {id, {name, value...}};
--          no events if the log is not a stream

require_master(KEYS[1])

local from = ARGV[1] == '' and '+' or '(' .. ARGV[1]
local length = log_length(KEYS[2])
local events = length > 0 and find_events('XREVRANGE', KEYS[2], from, '-', ARGV[2]) or {}
return {last_revision(KEYS[1], KEYS[2]), length, events}
