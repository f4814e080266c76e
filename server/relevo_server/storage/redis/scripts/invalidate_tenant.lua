-- End all entries of a tenant, or of one of its scopes, in one step by raising a floor.
-- KEYS: state, log, and with a request_id the request's record
-- ARGV: log length, the field of the floor, tenant, scope or '', the principal ('' for none), the
--       longest time to live that a server allows, in ms, and with a request_id: the request's
--       fingerprint and the record's ttl in ms
-- Returns: {the revision, 0}, the same for a repeated request; {'reused'} if another
--          request had the request_id

local LOOKED_AT = 20 -- about so many fields for each call; all of a small hash
local MARGIN = 3600000 -- ms: the longest lease, and how far a clock may be set back

-- Remove floors that can end nothing any more: what they ended has expired. Each call looks at some
-- fields and continues where the last one ended, so that old floors go faster than new ones come.
-- Without the right to HSCAN, floors stay.
local function sweep(state, revision, longest)
  local recorded = redis.call('HMGET', state, 'longest_ttl', 'swept')
  local kept = math.max(tonumber(longest), tonumber(recorded[1] or '') or 0) + MARGIN
  local oldest = parse(revision) - kept
  local found = redis.pcall('HSCAN', state, recorded[2] or '0', 'MATCH', 'floor:*', 'COUNT', LOOKED_AT)
  if found.err then return end
  for i = 1, #found[2], 2 do
    local field, floor = found[2][i], found[2][i + 1]
    if is_revision(floor) and parse(floor) < oldest then redis.call('HDEL', state, field) end
  end
  if found[1] ~= '0' then
    redis.call('HSET', state, 'swept', found[1])
  elseif recorded[2] then
    redis.call('HDEL', state, 'swept')
  end
end

local earlier = recall(KEYS[3], ARGV[7], INVALIDATE)
if earlier then return earlier end
go_on_without_memory(KEYS[1])
local last = redis.call('HGET', KEYS[1], 'revision')
local event = signed(ARGV[5], '', 'op', 'floor', 'tenant', ARGV[3], 'scope', ARGV[4])
local revision = append(KEYS[2], ARGV[1], last, unpack(event))
advance(KEYS[1], KEYS[2], last, revision, ARGV[2], revision)
sweep(KEYS[1], revision, ARGV[6])
return remember(KEYS[3], ARGV[7], ARGV[8], INVALIDATE, {revision, 0})
