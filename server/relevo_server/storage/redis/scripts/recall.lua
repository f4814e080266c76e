-- Return the recorded answer of an earlier write with a request_id.
-- KEYS: the request's record
-- ARGV: the request's fingerprint
-- Returns: as write.lua, or {'unknown'} if there is no record

return recall(KEYS[1], ARGV[1], PUT) or {'unknown'}
