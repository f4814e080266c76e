-- Write an entry and its event.
-- KEYS: state, log, usage, entry, lease, data keys; with a request_id, the request's record
-- ARGV: the field of the tenant's floor, the field of the scope's floor, the name of the
--       entry, log length, the expected version ('' for any, '0-0' for an absent entry), the
--       proof of the lease's token ('' for none), ttl in ms, context, a mark that no other write has, the
--       principal ('' for none), the written fields for the event ('' if unknown), the tenant,
--       the id of the data key that encrypts the context ('' for none), 1 if the tenant has a
--       quota in the store, else '', the most entries and the most bytes of its contexts ('' for
--       no limit); with a request_id, the request's fingerprint and the record's ttl in ms
-- Returns: {version, created, ttl in ms}, for a repeated request those of the first one;
--          {'conflict', the live version or '0-0'} if the version is not the expected one;
--          {'quota', 'entries' or 'bytes'} if the tenant would have more than it may;
--          {'reused'} if another request had the request_id; {'lost'} if the lease is not held;
--          {'rekeyed'} if the tenant has another data key, or none

local state_key, log, usage_key, entry_key, lease_key, keys, request_key = unpack(KEYS)
local name, length, expected, proof, ttl, context, mark, by, fields = unpack(ARGV, 3, 11)
local tenant, key_id, is_counted, most_entries, most_bytes = unpack(ARGV, 12, 16)
local fingerprint, request_ttl = ARGV[17], ARGV[18]

local earlier = recall(request_key, fingerprint, PUT)
if earlier then return earlier end

local state = redis.call('HMGET', state_key, 'revision', ARGV[1], ARGV[2], 'longest_ttl')
if proof ~= '' then
  local token, lease = find_lease(lease_key, proof)
  if lease[1] ~= token or ended(lease[2], state[2]) or ended(lease[2], state[3]) then
    return {'lost'}
  end
end
local entry = redis.pcall('HMGET', entry_key, 'version', 'created')
local sound = not entry.err and is_entry(entry, state[2], state[3])
local live = sound and above(entry[1], state[2]) and above(entry[1], state[3])
local current = live and entry[1] or '0-0'
if expected ~= '' and expected ~= current then return {'conflict', current} end
if key_id ~= '' then
  local key = redis.call('HGET', keys, tenant) or ''
  if string.sub(key, 1, #key_id) ~= key_id then return {'rekeyed'} end
end

local usage, more_entries, more_bytes
if is_counted ~= '' then
  local is_record = not entry.err and entry[1]
  more_entries = is_record and 0 or 1
  more_bytes = #context - (is_record and redis.call('HSTRLEN', entry_key, 'context') or 0)
  usage = usage_of(usage_key, tenant)
  if more_entries > 0 and most_entries ~= '' and usage.entries >= tonumber(most_entries) then
    return {'quota', 'entries'}
  end
  if more_bytes > 0 and most_bytes ~= '' and usage.bytes + more_bytes > tonumber(most_bytes) then
    return {'quota', 'bytes'}
  end
end

-- The event comes first: it is the only step that can fail (if the log's key has another
-- type, say), and then nothing is written.
local event = signed(by, fields, 'op', 'put', 'key', name)
local version = append(log, length, state[1], unpack(event))
local created = live and entry[2] or version
-- Floors are kept for as long as the longest time to live that an entry ever got.
local is_longest = tonumber(ttl) > (tonumber(state[4] or '') or 0)
advance(state_key, log, state[1], version, unpack(is_longest and {'longest_ttl', ttl} or {}))
if not sound then redis.call('DEL', entry_key) end -- of another type, say
redis.call('HSET', entry_key,
  'version', version, 'created', created, 'ttl', ttl, 'context', context, 'mark', mark)
redis.call('PEXPIRE', entry_key, ttl)
redis.call('DEL', lease_key)
if usage then count_usage(usage_key, tenant, usage, more_entries, more_bytes) end
return remember(request_key, fingerprint, request_ttl, PUT, {version, created, ttl})
