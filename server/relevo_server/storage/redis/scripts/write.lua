-- Write an entry and its event.
-- KEYS: state, log, entry, lease; with a request_id, the request's record
-- ARGV: the field of the tenant's floor, the field of the scope's floor, the name of the
--       entry, log length, the expected version ('' for any, '0-0' for an absent entry), the
--       lease's token ('' for none), ttl in ms, context, a mark that no other write has, the
--       principal ('' for none), the written fields for the event ('' if unknown); with a
--       request_id, the request's fingerprint and the record's ttl in ms
-- Returns: {version, created, ttl in ms}, for a repeated request those of the first one;
--          {'conflict', the live version or '0-0'} if the version is not the expected one;
--          {'reused'} if another request had the request_id; {'lost'} if the lease is not held

local state_key, log, entry_key, lease_key, request_key = unpack(KEYS)
local name, length, expected, token, ttl, context, mark, by, fields = unpack(ARGV, 3, 11)
local fingerprint, request_ttl = ARGV[12], ARGV[13]

local earlier = recall(request_key, fingerprint, PUT)
if earlier then return earlier end

local state = redis.call('HMGET', state_key, 'revision', ARGV[1], ARGV[2], 'longest_ttl')
if token ~= '' then
  local lease = redis.call('HMGET', lease_key, 'token', 'revision')
  if lease[1] ~= token or ended(lease[2], state[2]) or ended(lease[2], state[3]) then
    return {'lost'}
  end
end
local entry = redis.pcall('HMGET', entry_key, 'version', 'created')
local sound = not entry.err and is_entry(entry, state[2], state[3])
local live = sound and above(entry[1], state[2]) and above(entry[1], state[3])
local current = live and entry[1] or '0-0'
if expected ~= '' and expected ~= current then return {'conflict', current} end

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
return remember(request_key, fingerprint, request_ttl, PUT, {version, created, ttl})
