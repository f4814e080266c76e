-- What a partition's log has after a position.
-- KEYS: state, log
-- ARGV: the position, '0-0' for the beginning, '' for the end; how many events; log length;
--       revisions as of which anything was read
-- Answer: {'ok', revision, events}, each event {id, {name, value...}};
--         {'trimmed', revision} or {'changed', revision} where the log does not
--         continue from the position

-- A write that changes nothing: a replica, which may be behind, refuses it.
redis.call('HDEL', KEYS[1], 'none')

local position = ARGV[1]
local revision = redis.call('HGET', KEYS[1], 'revision') or '0-0'
if position == '' then return {'ok', revision, {}} end

-- A log that was never trimmed has fewer events than it keeps.
if position == '0-0' and redis.call('XLEN', KEYS[2]) >= tonumber(ARGV[3]) then
  return {'trimmed', revision}
end

-- Events that were lost in a failover, or with all of the data, leave no other trace
-- than that the ones which were seen are not there.
for _, id in ipairs({position, unpack(ARGV, 4)}) do
  if id ~= '0-0' and #redis.call('XRANGE', KEYS[2], id, id) == 0 then
    local first = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1]
    if first and above(first[1], id) then return {'trimmed', revision} end
    return {'changed', revision}
  end
end
return {'ok', revision, redis.call('XRANGE', KEYS[2], '(' .. position, '+', 'COUNT', ARGV[2])}
