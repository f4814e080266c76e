-- Begin the time to live of an entry anew, where it is alive.
-- KEYS: state, entry
-- ARGV: the fields of the tenant's floor and the scope's floor

local entry = redis.call('HMGET', KEYS[2], 'version', 'ttl')
if entry[1] then
  local floors = redis.call('HMGET', KEYS[1], ARGV[1], ARGV[2])
  if above(entry[1], floors[1]) and above(entry[1], floors[2]) then
    redis.call('PEXPIRE', KEYS[2], entry[2])
  end
end
