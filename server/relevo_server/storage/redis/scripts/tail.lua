-- Return the events of a partition's log after a position.
-- KEYS: state, log
-- ARGV: the position, '0-0' for the beginning, '' for the end; the most events; revisions as of
--       which something was read
-- Returns: {'ok', revision, events}, each event {id, {name, value...}};
--          {'trimmed', revision} or {'changed', revision} if the log does not continue
--          from the position

require_master(KEYS[1])

local position = ARGV[1]
local revision = last_revision(KEYS[1], KEYS[2])
if position == '' then return {'ok', revision, {}} end

-- A log that continues from the beginning has the partition's first event.
local from = position
if position == '0-0' and revision ~= '0-0' then
  from = redis.call('HGET', KEYS[1], 'first')
  if not is_revision(from) then return {'trimmed', revision} end
end

-- Events that were lost in a failover, or with all of the data, leave only one trace:
-- ids that were seen are missing.
for _, id in ipairs({from, unpack(ARGV, 3)}) do
  if id ~= '0-0' and #redis.call('XRANGE', KEYS[2], id, id) == 0 then
    local first = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1]
    if first and above(first[1], id) then return {'trimmed', revision} end
    if not first then restart(KEYS[2], revision) end
    return {'changed', revision}
  end
end

local events = find_events('XRANGE', KEYS[2], '(' .. position, '+', ARGV[2])
local last = events[#events]
if last and above(last[1], revision) then
  -- The log ends with a foreign entry. It takes a revision as an event does, so that later reads
  -- are not as of an earlier one. Without memory for that (pcall), a later call does it.
  revision = last[1]
  redis.pcall('HSET', KEYS[1], 'revision', revision)
end
return {'ok', revision, events}
