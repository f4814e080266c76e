-- Return the sizes of a tenant's entries.
-- KEYS: state, entry...
-- ARGV: the field of the tenant's floor, then for each entry the field of its scope's floor
-- Returns: for each entry the size of its context in bytes, -1 if there is no live one

require_master(KEYS[1])

local floors, sizes = redis.call('HMGET', KEYS[1], unpack(ARGV)), {}
for i = 2, #KEYS do
  -- A record of another type fails alone, not all that are read with it.
  local entry = redis.pcall('HMGET', KEYS[i], 'version', 'created')
  local lives = is_entry(entry) and is_live(entry[1], floors[1], floors[i])
  sizes[i - 1] = lives and redis.call('HSTRLEN', KEYS[i], 'context') or -1
end
return sizes
