-- Shared functions, prepended to each of the other scripts. Every script works on one
-- partition: its keys share a hash tag, so they share a slot of a Redis Cluster.
--
-- Versions and revisions are ids of the partition's log, "milliseconds-sequence",
-- as strings: a Lua number holds 53 bits, a packed revision has 61.

local MAX_SEQUENCE = 1048575 -- 20 bits, as in revisions.py
local MAX_MS = 8796093022207 -- 43 bits: a revision has 63

local function parse(id)
  local ms, sequence = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(sequence)
end

-- Whether a revision can hold this id of a log entry. A foreign entry's id may be too large.
local function is_revision(id)
  if type(id) ~= 'string' then return false end
  local ms, sequence = parse(id)
  return ms and ms <= MAX_MS and sequence <= MAX_SEQUENCE
end

-- Whether an entry {version, created} can be compared with its floors. A floor of false is none.
local function is_entry(entry, ...)
  if not is_revision(entry[1]) or not is_revision(entry[2]) then return false end
  for i = 1, select('#', ...) do
    local floor = select(i, ...)
    if floor and not is_revision(floor) then return false end
  end
  return true
end

-- Whether an entry with this version is above a floor. A floor of false is none.
local function above(version, floor)
  if not floor then return true end
  local ms, sequence = parse(version)
  local floor_ms, floor_sequence = parse(floor)
  return ms > floor_ms or (ms == floor_ms and sequence > floor_sequence)
end

-- Whether a version is above its tenant's floor and its scope's floor. A floor of false is none.
-- False if the version or a floor is not a revision.
local function is_live(version, tenant_floor, scope_floor)
  return is_entry({version, version}, tenant_floor, scope_floor)
    and above(version, tenant_floor) and above(version, scope_floor)
end

-- Whether a floor ended a lease that was granted as of a revision. A floor of false is none.
local function ended(revision, floor)
  return floor and above(floor, revision)
end

-- Find the lease in a record by a proof of its token: 'digest:' and the token's digest, or 'token:'
-- and the token if a server of version 0.1 granted it. Returns what the record must have, and
-- {what it has, the revision as of which the lease was granted}, each false if there is none.
local function find_lease(record, proof)
  local field, value = string.match(proof, '^(%l+):(.+)$')
  local lease = redis.call('HMGET', record, field, 'revision', 'token')
  -- A server of version 0.1 has granted another lease over this one.
  if field == 'digest' and lease[3] ~= '' then lease[1] = false end
  return value, lease
end

-- Fail on a replica, which may lag behind: it refuses this write, which changes nothing.
local function require_master(key)
  redis.call('HDEL', key, 'none')
end

-- Let this script go on if Redis has no memory left, as it lets every script that has begun to write.
-- What ends entries calls it first: an Invalidate gets through on a full store.
local function go_on_without_memory(state)
  redis.call('HDEL', state, 'none')
end

-- The fields of a request's record that hold its answer: of a Put and of an Invalidate.
local PUT, INVALIDATE = {'version', 'created', 'ttl'}, {'revision', 'count'}

-- The recorded answer of an earlier request, as these fields; {'reused'} if it had another
-- fingerprint; nil if there is none.
local function recall(record, fingerprint, fields)
  if not record then return nil end
  local found = redis.call('HMGET', record, 'fingerprint', unpack(fields))
  if not found[1] then return nil end
  if found[1] ~= fingerprint then return {'reused'} end
  return {unpack(found, 2)}
end

-- Record a request's answer for its repetitions, for `ttl` milliseconds, and return it.
local function remember(record, fingerprint, ttl, fields, answer)
  if not record then return answer end
  local values = {'fingerprint', fingerprint}
  for i, field in ipairs(fields) do
    values[2 * i + 1], values[2 * i + 2] = field, answer[i]
  end
  redis.call('HSET', record, unpack(values))
  redis.call('PEXPIRE', record, ttl)
  return answer
end

-- Recreate the log with the same entries, because Redis 8 and Valkey 8 never set the last id of a
-- stream below a removed id. An entry with more fields than an event is foreign: only its id is kept.
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

-- The number of entries in the log, 0 if its key is not a stream.
local function log_length(log)
  local length = redis.pcall('XLEN', log)
  return type(length) == 'number' and length or 0
end

-- The entries that XRANGE or XREVRANGE finds in the log, `limit` at most. No position can have an
-- id that no revision can hold, so entries with such an id are removed. Other foreign entries are
-- returned: their reader skips them.
local function find_events(command, log, from, to, limit)
  while true do
    local events, is_whole = redis.call(command, log, from, to, 'COUNT', limit), true
    for _, event in ipairs(events) do
      if not is_revision(event[1]) then
        redis.call('XDEL', log, event[1])
        is_whole = false
      end
    end
    if is_whole then return events end
  end
end

-- The partition's last revision, '0-0' for none. If its record was lost or overwritten, it is the
-- last event's, and is recorded again. Without memory for that (pcall), a later call does it.
local function last_revision(state, log)
  local recorded = redis.call('HGET', state, 'revision')
  if is_revision(recorded) then return recorded end
  local last = log_length(log) > 0 and find_events('XREVRANGE', log, '+', '-', 1)[1]
  local revision = last and last[1] or '0-0'
  if recorded or last then redis.pcall('HSET', state, 'revision', revision) end
  return revision
end

-- Remove the foreign entries at the end of the log whose ids no revision can hold, and set the
-- stream's last id back, so that later ids do not follow theirs. Returns the last id.
local function mend(log, last)
  if not is_revision(last) then last = nil end -- servers of version 0.x wrote such revisions
  local top = find_events('XREVRANGE', log, '+', '-', 1)[1]
  if top and (not last or above(top[1], last)) then last = top[1] end
  local set = redis.pcall('XSETID', log, last or '0-0')
  if set.err and string.find(set.err, 'smaller', 1, true) then
    rewrite(log, last)
  elseif set.err then
    -- Any other error (no memory, say) is raised. Nothing may be written before that: Redis lets a
    -- script that has begun to write continue without memory.
    redis.call('XSETID', log, last or '0-0')
  end
  return last
end

-- Begin a log that has lost all entries anew at the last revision, so that readers can continue from
-- there. Without memory for that (pcall), a later call does it.
local function restart(log, last)
  redis.call('DEL', log)
  redis.pcall('XADD', log, last, 'foreign', '')
end

-- The id to append an event with, after the last one.
local function following(last)
  local ms, sequence = parse(last or '')
  if sequence and sequence >= MAX_SEQUENCE then return string.format('%.0f-0', ms + 1) end
  return '*'
end

-- Append an event to the log, and return its id, which is the new revision.
--
-- '*' never gives an id below the last, whatever the clock does; if a clock that
-- stepped back has used up the sequence, the next millisecond begins early.
local function append(log, length, last, ...)
  local added = redis.pcall('XADD', log, 'MAXLEN', '~', length, following(last), ...)
  if is_revision(added) then return added end
  -- Either the stream already has the greatest possible id, or the new id follows one that no
  -- revision can hold. Any other error (no memory, say) is raised by the second attempt.
  last = mend(log, last)
  added = redis.call('XADD', log, 'MAXLEN', '~', length, following(last), ...)
  if is_revision(added) then return added end
  -- A foreign entry has the greatest id that a revision can hold: no revision follows it.
  redis.call('XDEL', log, added)
  error('no revision is left after ' .. last)
end

-- The fields of an event, and who wrote it and what, unless these are ''. Servers skip fields that
-- they do not know, and take these for '' in the events of older servers.
local function signed(by, fields, ...)
  local event = {...}
  local size = #event
  if by ~= '' then
    event[size + 1], event[size + 2] = 'by', by
    size = size + 2
  end
  if fields ~= '' then event[size + 1], event[size + 2] = 'fields', fields end
  return event
end

-- Record the partition's new last revision, and other fields of its state. A revision that follows
-- none is recorded as the first, too: a reader from the beginning needs it to know whether the log
-- still begins there. Not if the log has other entries: then the record of the last one was lost.
local function advance(state, log, last, revision, ...)
  if not last and log_length(log) == 1 and not redis.call('HGET', state, 'first') then
    redis.call('HSET', state, 'first', revision)
  end
  redis.call('HSET', state, 'revision', revision, ...)
end

-- What a tenant has in the store, as the partition's usage record has it: entries and bytes, and how
-- many of both were added since the recount began that runs, or was the last one.
local function usage_of(usage_key, tenant)
  local found = redis.call('HMGET', usage_key, 'recount', 'of:' .. tenant)
  local recount = found[1] or ''
  local entries, bytes, added, added_bytes, of =
    string.match(found[2] or '', '^(%d+) (%d+) (%d+) (%d+) (%w*)$')
  if of ~= recount then added, added_bytes = 0, 0 end
  return {
    entries = tonumber(entries) or 0, bytes = tonumber(bytes) or 0,
    added = tonumber(added), added_bytes = tonumber(added_bytes), recount = recount,
  }
end

-- Record what a tenant has in the store, after this much more, or less.
local function count_usage(usage_key, tenant, usage, entries, bytes)
  if entries == 0 and bytes == 0 then return end
  redis.call('HSET', usage_key, 'of:' .. tenant, string.format('%.0f %.0f %.0f %.0f %s',
    math.max(0, usage.entries + entries), math.max(0, usage.bytes + bytes),
    usage.added + math.max(0, entries), usage.added_bytes + math.max(0, bytes), usage.recount))
end
