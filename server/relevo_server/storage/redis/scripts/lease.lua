-- Return a live entry, or else grant the lease on its key to one caller.
-- KEYS: state, entry, lease
-- ARGV: the fields of the tenant's floor and the scope's floor, the version to renew
--       ('0-0' for none), the digest of a token, the lease's ttl in ms, the digest of a
--       request_id and the token masked by it, or '' and ''
-- Returns: {revision, 'entry', entry as in read.lua}, a corrupt one too;
--          {revision, 'lease', '' or for a repeated request its masked token, ms left}; {revision, 'held', ms left} if another
--          caller holds the lease

require_master(KEYS[1])

local renewed, digest, ttl, request, masked = unpack(ARGV, 3, 7)
local state = redis.call('HMGET', KEYS[1], 'revision', ARGV[1], ARGV[2])
local revision = state[1] or '0-0'
local entry = redis.pcall('HMGET', KEYS[2], 'version', 'created', 'context', 'mark')
if entry.err or (entry[1] and not is_entry(entry, state[2], state[3])) then
  return {revision, 'entry', {KEYS[2], 'corrupt'}}
end
local live = entry[1] and above(entry[1], state[2]) and above(entry[1], state[3])
if live and entry[1] ~= renewed then
  return {revision, 'entry',
    {KEYS[2], entry[1], entry[2], redis.call('PTTL', KEYS[2]), #(entry[3] or ''), entry[4] or '', entry[3]}}
end
local lease = redis.call('HMGET', KEYS[3], 'token', 'revision', 'request', 'masked')
if lease[1] and not ended(lease[2], state[2]) and not ended(lease[2], state[3]) then
  local left = redis.call('PTTL', KEYS[3])
  if request ~= '' and lease[3] == request then return {revision, 'lease', lease[4], left} end
  return {revision, 'held', left}
end
-- An empty token, which no Put has: servers of version 0.1 see that the lease is held.
redis.call('HSET', KEYS[3], 'token', '', 'digest', digest, 'revision', revision,
  'request', request, 'masked', masked)
redis.call('PEXPIRE', KEYS[3], ttl)
return {revision, 'lease', '', ttl}
