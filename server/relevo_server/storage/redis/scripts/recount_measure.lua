-- Return the sizes of entries, and delete the records that a floor has ended: nobody reads them.
-- KEYS: state, entry...
-- ARGV: for each entry the fields of its tenant's floor and its scope's floor
-- Returns: for each entry the size of its context in bytes, -1 if there is none

require_master(KEYS[1])

local floors, sizes = redis.call('HMGET', KEYS[1], unpack(ARGV)), {}
for i = 2, #KEYS do
  local version = redis.pcall('HGET', KEYS[i], 'version') -- an error if the record is not a hash
  local tenant_floor, scope_floor = floors[2 * i - 3], floors[2 * i - 2]
  sizes[i - 1] = -1
  if type(version) == 'string' then
    if is_entry({version, version}, tenant_floor, scope_floor)
      and not is_live(version, tenant_floor, scope_floor) then
      redis.call('DEL', KEYS[i])
    else
      sizes[i - 1] = redis.call('HSTRLEN', KEYS[i], 'context')
    end
  end
end
return sizes
