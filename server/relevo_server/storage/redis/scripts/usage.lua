-- Return what a tenant has in the store, as it is counted.
-- KEYS: usage
-- ARGV: tenant
-- Returns: {entries, bytes of their contexts}

require_master(KEYS[1])

local usage = usage_of(KEYS[1], ARGV[1])
return {usage.entries, usage.bytes}
