-- End a recount of a partition: tenants have what it has found, and what was added since it began.
-- An entry that was added meanwhile may be in both. So no count is too low.
-- KEYS: usage
-- ARGV: the recount's number, then for each tenant that has entries: its name, entries, bytes
-- Returns: 1, or 0 without effect if another recount has begun since

if redis.call('HGET', KEYS[1], 'recount') ~= ARGV[1] then return 0 end
local found = {}
for i = 2, #ARGV, 3 do
  found[ARGV[i]] = {entries = tonumber(ARGV[i + 1]), bytes = tonumber(ARGV[i + 2])}
end
local cursor = '0'
repeat
  local recorded
  cursor, recorded = unpack(redis.call('HSCAN', KEYS[1], cursor, 'MATCH', 'of:*', 'COUNT', 1000))
  for i = 1, #recorded, 2 do
    local tenant = string.sub(recorded[i], 4)
    if not found[tenant] then found[tenant] = {entries = 0, bytes = 0} end
  end
until cursor == '0'
for tenant, counted in pairs(found) do
  local usage = usage_of(KEYS[1], tenant)
  local entries, bytes = counted.entries + usage.added, counted.bytes + usage.added_bytes
  if entries == 0 and bytes == 0 then
    redis.call('HDEL', KEYS[1], 'of:' .. tenant)
  else
    redis.call('HSET', KEYS[1], 'of:' .. tenant,
      string.format('%.0f %.0f %.0f %.0f %s', entries, bytes, usage.added, usage.added_bytes, ARGV[1]))
  end
end
return 1
