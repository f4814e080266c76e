-- End entries of one tenant, each with an event of its own, and the leases on them.
-- KEYS: state, log, entry..., the lease of each entry..., and with a request_id the
--       request's record
-- ARGV: log length, the field of the tenant's floor, the principal ('' for none), then for
--       each entry the field of its scope's floor and its name, then with a request_id:
--       the request's fingerprint and the record's ttl in ms
-- Returns: {the last revision, the number of entries that were live}, the same for a
--          repeated request; {'reused'} if another request had the request_id

local state_key, log = KEYS[1], KEYS[2]
local length = ARGV[1]
local revision = redis.call('HGET', state_key, 'revision')
local tenant_floor = redis.call('HGET', state_key, ARGV[2])
local count, entries = 0, math.floor((#KEYS - 2) / 2)
local record = KEYS[2 * entries + 3]
local fingerprint, request_ttl = ARGV[2 * entries + 4], ARGV[2 * entries + 5]
local earlier = recall(record, fingerprint, INVALIDATE)
if earlier then return earlier end
go_on_without_memory(state_key)

for i = 3, entries + 2 do
  local scope_floor, name = ARGV[2 * i - 2], ARGV[2 * i - 1]
  local version = redis.pcall('HGET', KEYS[i], 'version') -- an error if the record is not a hash
  if is_live(version, tenant_floor, redis.call('HGET', state_key, scope_floor)) then
    count = count + 1
  end
  local event = signed(ARGV[3], '', 'op', 'invalidate', 'key', name)
  local last = revision
  revision = append(log, length, last, unpack(event))
  advance(state_key, log, last, revision)
  redis.call('DEL', KEYS[i], KEYS[entries + i])
end
return remember(record, fingerprint, request_ttl, INVALIDATE, {revision, count})
