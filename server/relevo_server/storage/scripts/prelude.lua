-- Stands before each of the other scripts. Every script works on one partition:
-- its keys share a hash tag, so they share a slot of a Redis Cluster.
--
-- Versions and revisions are ids of the partition's log, "milliseconds-sequence",
-- as strings: a Lua number holds 53 bits, a packed revision has 61.

local MAX_SEQUENCE = 1048575 -- 20 bits, as in revisions.py

local function parse(id)
  local ms, sequence = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(sequence)
end

-- Is the entry with this version above a floor? A floor may be false: none.
local function above(version, floor)
  if not floor then return true end
  local ms, sequence = parse(version)
  local floor_ms, floor_sequence = parse(floor)
  return ms > floor_ms or (ms == floor_ms and sequence > floor_sequence)
end

-- Did a floor end a lease that was given as of a revision? A floor may be false: none.
local function ended(revision, floor)
  return floor and above(floor, revision)
end

-- Append an event to the log. Its id is the new revision.
--
-- '*' never gives an id below the last, whatever the clock does; where a clock
-- that stepped back has used up the sequence, the next millisecond begins early.
local function append(log, length, last, ...)
  local id = '*'
  if last then
    local ms, sequence = parse(last)
    if sequence >= MAX_SEQUENCE then id = string.format('%.0f-0', ms + 1) end
  end
  return redis.call('XADD', log, 'MAXLEN', '~', length, id, ...)
end
