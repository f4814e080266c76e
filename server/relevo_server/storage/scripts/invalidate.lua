-- End entries of one tenant, each with an event of its own, and leases on them.
-- KEYS: state, log, entry..., the lease of each entry...
-- ARGV: log length, the field of the tenant's floor, then for each entry the
--       field of its scope's floor and its name
-- Answer: {the last revision, how many entries were alive}

local state_key, log = KEYS[1], KEYS[2]
local length = ARGV[1]
local revision = redis.call('HGET', state_key, 'revision')
local tenant_floor = redis.call('HGET', state_key, ARGV[2])
local count, entries = 0, (#KEYS - 2) / 2
for i = 3, entries + 2 do
  local scope_floor, name = ARGV[2 * i - 3], ARGV[2 * i - 2]
  local version = redis.call('HGET', KEYS[i], 'version')
  if version and above(version, tenant_floor)
      and above(version, redis.call('HGET', state_key, scope_floor)) then
    count = count + 1
  end
  revision = append(log, length, revision, 'op', 'invalidate', 'key', name)
  redis.call('HSET', state_key, 'revision', revision)
  redis.call('DEL', KEYS[i], KEYS[entries + i])
end
return {revision, count}
