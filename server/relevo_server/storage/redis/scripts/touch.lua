-- Restart the time to live of an entry, if it is live.
-- KEYS: state, entry
-- ARGV: the fields of the tenant's floor and the scope's floor
-- Returns: nothing

local entry = redis.pcall('HMGET', KEYS[2], 'version', 'ttl')
if not entry.err and tonumber(entry[2] or '') then
  local floors = redis.call('HMGET', KEYS[1], ARGV[1], ARGV[2])
  if is_live(entry[1], floors[1], floors[2]) then redis.call('PEXPIRE', KEYS[2], entry[2]) end
end
