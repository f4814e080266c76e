-- Return the last events of a partition's log before an id, the newest first.
-- KEYS: state, log
-- ARGV: the id, '' for the end of the log; the most events
-- Returns: {revision, the number of events in the log, events}, each event {id, {name, value...}};
--          no events if the log is not a stream

-- A write that changes nothing: replicas, which may lag behind, refuse it, so only a
-- master answers.
redis.call('HDEL', KEYS[1], 'none')

local revision = redis.call('HGET', KEYS[1], 'revision')
local from = ARGV[1] == '' and '+' or '(' .. ARGV[1]
local length = redis.pcall('XLEN', KEYS[2])
local events = {}
if type(length) ~= 'number' then
  length = 0
else
  -- No position can have an id that no revision can hold: an entry with such an id is removed, as
  -- in tail.lua.
  local is_whole
  repeat
    events, is_whole = redis.call('XREVRANGE', KEYS[2], from, '-', 'COUNT', ARGV[2]), true
    for _, event in ipairs(events) do
      if not is_revision(event[1]) then
        redis.call('XDEL', KEYS[2], event[1])
        is_whole = false
      end
    end
  until is_whole
end
return {is_revision(revision) and revision or '0-0', length, events}
