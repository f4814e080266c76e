-- Return a field of a hash, after replacing it if it has a certain value.
-- KEYS: hash
-- ARGV: field, the value that is replaced ('' for none), the new value ('' to replace nothing)
-- Returns: the field, '' if there is none

require_master(KEYS[1])

local found = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if ARGV[3] == '' or found ~= ARGV[2] then return found end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return ARGV[3]
