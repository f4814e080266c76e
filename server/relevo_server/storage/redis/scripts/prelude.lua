-- Stands before each of the other scripts. Every script works on one partition:
-- its keys share a hash tag, so they share a slot of a Redis Cluster.
--
-- Versions and revisions are ids of the partition's log, "milliseconds-sequence",
-- as strings: a Lua number holds 53 bits, a packed revision has 61.

local MAX_SEQUENCE = 1048575 -- 20 bits, as in revisions.py
local MAX_MS = 8796093022207 -- 43 bits: a revision has 63

local function parse(id)
  local ms, sequence = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(sequence)
end

-- Is this the id of a log entry that a revision can hold? A foreign entry's may not be one.
local function is_revision(id)
  if type(id) ~= 'string' then return false end
  local ms, sequence = parse(id)
  return ms and ms <= MAX_MS and sequence <= MAX_SEQUENCE
end

-- Can an entry {version, created} be compared with its floors? A floor may be false: none.
local function is_entry(entry, ...)
  if not is_revision(entry[1]) or not is_revision(entry[2]) then return false end
  for i = 1, select('#', ...) do
    local floor = select(i, ...)
    if floor and not is_revision(floor) then return false end
  end
  return true
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

-- The recorded answer of an earlier Invalidate, or nil.
local function recall(record, fingerprint)
  if not record then return nil end
  local earlier = redis.call('HMGET', record, 'fingerprint', 'revision', 'count')
  if not earlier[1] then return nil end
  if earlier[1] ~= fingerprint then return {'reused'} end
  return {earlier[2], earlier[3]}
end

-- Keep what an Invalidate came to for its copies, for so many milliseconds.
local function remember(record, fingerprint, ttl, revision, count)
  if not record then return end
  redis.call('HSET', record, 'fingerprint', fingerprint, 'revision', revision, 'count', count)
  redis.call('PEXPIRE', record, ttl)
end

-- Write the log anew, with the same entries: Redis 8 and Valkey 8 set the last id of a stream never
-- below one that was removed. What has more fields than an event is foreign, and its id is kept.
local function rewrite(log, last)
  local entries, from = {}, '-'
  repeat
    local some = redis.call('XRANGE', log, from, '+', 'COUNT', 1000)
    for _, entry in ipairs(some) do entries[#entries + 1] = entry end
    from = #some > 0 and '(' .. some[#some][1]
  until #some < 1000
  redis.call('DEL', log)
  for _, entry in ipairs(entries) do
    local fields = #entry[2] <= 64 and entry[2] or {'foreign', ''}
    redis.call('XADD', log, entry[1], unpack(fields))
  end
  if #entries > 0 then
    redis.call('XSETID', log, last)
  elseif last then
    redis.call('XADD', log, last, 'foreign', '')
  end
end

-- Remove foreign entries from the end of the log whose ids no revision can hold, and what such
-- an id has done to those that follow.
local function mend(log, last)
  if not is_revision(last) then last = nil end -- servers of 0.x wrote such a one
  local top = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
  while top and not is_revision(top[1]) do
    redis.call('XDEL', log, top[1])
    top = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
  end
  if top and (not last or above(top[1], last)) then last = top[1] end
  local set = redis.pcall('XSETID', log, last or '0-0')
  if set.err and string.find(set.err, 'smaller', 1, true) then
    rewrite(log, last)
  elseif set.err then
    -- Whatever else is wrong (no memory, say) is told. Nothing may be written before: Redis lets a
    -- script that has begun to write go on without memory.
    redis.call('XSETID', log, last or '0-0')
  end
  return last
end

-- The id to append an event with, behind the last one.
local function following(last)
  local ms, sequence = parse(last or '')
  if sequence and sequence >= MAX_SEQUENCE then return string.format('%.0f-0', ms + 1) end
  return '*'
end

-- Append an event to the log. Its id is the new revision.
--
-- '*' never gives an id below the last, whatever the clock does; where a clock
-- that stepped back has used up the sequence, the next millisecond begins early.
local function append(log, length, last, ...)
  local added = redis.pcall('XADD', log, 'MAXLEN', '~', length, following(last), ...)
  if is_revision(added) then return added end
  -- It failed, as it does behind the greatest id that there is, or follows an id that no revision
  -- can hold. What else is wrong (no memory, say), is wrong again.
  last = mend(log, last)
  added = redis.call('XADD', log, 'MAXLEN', '~', length, following(last), ...)
  if is_revision(added) then return added end
  -- A foreign entry has the last id that a revision can have: nothing comes after it.
  redis.call('XDEL', log, added)
  error('no revision is left after ' .. last)
end
