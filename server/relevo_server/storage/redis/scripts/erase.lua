-- Delete records of entries of one tenant, except live entries.
-- KEYS: state, entry...
-- ARGV: the field of the tenant's floor, then for each entry the field of its scope's floor
-- Returns: the number of deleted records

require_master(KEYS[1])

local erased = 0
local tenant_floor = redis.call('HGET', KEYS[1], ARGV[1])
for i = 2, #KEYS do
  local version = redis.pcall('HGET', KEYS[i], 'version') -- an error if the record is not a hash
  if not is_live(version, tenant_floor, redis.call('HGET', KEYS[1], ARGV[i])) then
    erased = erased + redis.call('DEL', KEYS[i])
  end
end
return erased
