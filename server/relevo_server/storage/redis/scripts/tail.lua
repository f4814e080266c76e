-- Return the events of a partition's log after a position.
-- KEYS: state, log
-- ARGV: the position, '0-0' for the beginning, '' for the end; the most events; log length;
--       revisions as of which something was read
-- Returns: {'ok', revision, events}, each event {id, {name, value...}};
--          {'trimmed', revision} or {'changed', revision} if the log does not continue
--          from the position

-- A write that changes nothing: replicas, which may lag behind, refuse it, so only a
-- master answers.
redis.call('HDEL', KEYS[1], 'none')

local position = ARGV[1]
local revision = redis.call('HGET', KEYS[1], 'revision') or '0-0'
if not is_revision(revision) then
  revision = mend(KEYS[2]) or '0-0'
  redis.pcall('HSET', KEYS[1], 'revision', revision)
end
if position == '' then return {'ok', revision, {}} end

-- A log that was never trimmed has fewer events than it keeps.
if position == '0-0' and redis.call('XLEN', KEYS[2]) >= tonumber(ARGV[3]) then
  return {'trimmed', revision}
end

-- Events that were lost in a failover, or with all of the data, leave only one trace:
-- ids that were seen are missing.
for _, id in ipairs({position, unpack(ARGV, 4)}) do
  if id ~= '0-0' and #redis.call('XRANGE', KEYS[2], id, id) == 0 then
    local first = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1]
    if first and above(first[1], id) then return {'trimmed', revision} end
    return {'changed', revision}
  end
end

-- Foreign entries are returned too; their reader skips them. But no position can have an id that
-- no revision can hold, so an entry with such an id is removed.
local events, is_whole
repeat
  events, is_whole = redis.call('XRANGE', KEYS[2], '(' .. position, '+', 'COUNT', ARGV[2]), true
  for _, event in ipairs(events) do
    if not is_revision(event[1]) then
      redis.call('XDEL', KEYS[2], event[1])
      is_whole = false
    end
  end
until is_whole
local last = events[#events]
if last and above(last[1], revision) then
  -- The log ends with a foreign entry. It takes a revision as an event does, so that later reads
  -- are not as of an earlier one. Without memory for that (pcall), a later call does it.
  revision = last[1]
  redis.pcall('HSET', KEYS[1], 'revision', revision)
end
return {'ok', revision, events}
