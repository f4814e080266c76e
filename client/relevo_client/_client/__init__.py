"""The asyncio and the blocking client, and the creation of missing entries under leases."""
