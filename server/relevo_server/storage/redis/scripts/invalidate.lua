-- End entries of one tenant, each with an event of its own, and the leases on them.
-- KEYS: state, log, usage, entry..., the lease of each entry..., and with a request_id the
--       request's record
-- ARGV: log length, the field of the tenant's floor, the principal ('' for none), the tenant
--       ('' if it has no quota in the store), then for each entry the field of its scope's floor
--       and its name, then with a request_id: the request's fingerprint and the record's ttl in ms
-- Returns: {the last revision, the number of entries that were live}, the same for a
--          repeated request; {'reused'} if another request had the request_id

local state_key, log, usage_key = KEYS[1], KEYS[2], KEYS[3]
local length, tenant = ARGV[1], ARGV[4]
local revision = redis.call('HGET', state_key, 'revision')
local tenant_floor = redis.call('HGET', state_key, ARGV[2])
local count, entries = 0, math.floor((#KEYS - 3) / 2)
local record = KEYS[2 * entries + 4]
local fingerprint, request_ttl = ARGV[2 * entries + 5], ARGV[2 * entries + 6]
local ended_entries, ended_bytes = 0, 0
local earlier = recall(record, fingerprint, INVALIDATE)
if earlier then return earlier end
go_on_without_memory(state_key)

for i = 4, entries + 3 do
  local scope_floor, name = ARGV[2 * i - 3], ARGV[2 * i - 2]
  local version = redis.pcall('HGET', KEYS[i], 'version') -- an error if the record is not a hash
  if is_live(version, tenant_floor, redis.call('HGET', state_key, scope_floor)) then
    count = count + 1
  end
  if tenant ~= '' and type(version) == 'string' then
    ended_entries = ended_entries + 1
    ended_bytes = ended_bytes + redis.call('HSTRLEN', KEYS[i], 'context')
  end
  local event = signed(ARGV[3], '', 'op', 'invalidate', 'key', name)
  local last = revision
  revision = append(log, length, last, unpack(event))
  advance(state_key, log, last, revision)
  redis.call('DEL', KEYS[i], KEYS[entries + i])
end
if ended_entries > 0 then
  count_usage(usage_key, tenant, usage_of(usage_key, tenant), -ended_entries, -ended_bytes)
end
return remember(record, fingerprint, request_ttl, INVALIDATE, {revision, count})
