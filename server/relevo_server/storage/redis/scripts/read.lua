-- Read entries of one partition, all as of one revision.
-- KEYS: state, entry...; with a position, the log
-- ARGV: the largest size of one context, and of all together, in bytes ('' for no limits);
--       for each entry the fields of its tenant's floor and its scope's floor; then for
--       each the write whose context need not be sent: the reader's VERSION, or
--       VERSION/MARK of the cached context, or '' for none; optionally a position of the log
-- Returns: {'gap'} if the log does not have the event at the position; else revision, then for each entry {its key} if it is absent; {its key, 'corrupt'} if
--          the record is not an entry; else {its key, version, created, ms left, size of
--          its context, its mark, context}. The context is left out if it need not be sent
--          or exceeds the limits. The first one never exceeds the limit of all together.

require_master(KEYS[1])

local count = math.floor((#ARGV - 2) / 3)
local log, position = KEYS[count + 2], ARGV[3 * count + 3]
if position and #redis.call('XRANGE', log, position, position) == 0 then return {'gap'} end

local most, limit, total = tonumber(ARGV[1]), tonumber(ARGV[2]), 0
local state = redis.call('HMGET', KEYS[1], 'revision', unpack(ARGV, 3, 2 * count + 2))
local answer = {state[1] or '0-0'}
for i = 1, count do
  local key, unneeded = KEYS[i + 1], ARGV[2 * count + 2 + i]
  local whole = unneeded == '' and not most
  -- A record of another type fails alone, not all that are read with it.
  local entry = whole and redis.pcall('HMGET', key, 'version', 'created', 'mark', 'context')
    or redis.pcall('HMGET', key, 'version', 'created', 'mark')
  local version = entry[1]
  if entry.err or (version and not is_entry(entry, state[2 * i], state[2 * i + 1])) then
    answer[i + 1] = {key, 'corrupt'}
  elseif version and above(version, state[2 * i]) and above(version, state[2 * i + 1]) then
    local context, mark, size = entry[4], entry[3] or '', 0
    if whole then
      size = context and #context or 0
    else
      size = redis.call('HSTRLEN', key, 'context')
      local fits = not most or (size <= most and (total == 0 or total + size <= limit))
      if version ~= unneeded and version .. '/' .. mark ~= unneeded and fits then
        context = redis.call('HGET', key, 'context')
        total = total + size
      end
    end
    answer[i + 1] = {key, version, entry[2], redis.call('PTTL', key), size, mark, context}
  else
    answer[i + 1] = {key}
  end
end
return answer
