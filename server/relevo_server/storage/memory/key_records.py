"""The tenants' data keys in memory."""

from collections.abc import Callable, Sequence
from time import monotonic

from relevo_server.keys import Key, partition_of
from relevo_server.storage.key_records import KeyPage, KeyRecords, Shredded
from relevo_server.storage.memory.state import Partition, live_entry

EndTenant = Callable[[str, str], int]
"""Ends all entries of a tenant, as a principal, and returns the revision."""


class MemoryKeyRecords(KeyRecords):
    """Keeps wrapped data keys in the partitions."""

    def __init__(
        self,
        partitions: Sequence[Partition],
        end_tenant: EndTenant,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._partitions = partitions
        self._end_tenant = end_tenant
        self._clock = clock
        self._ring_check = b""

    async def wrapped_key(self, tenant_id: str, *, before: bytes = b"", new: bytes = b"") -> bytes:
        """Compare and set."""
        keys = self._part(tenant_id).data_keys
        if new and keys.get(tenant_id, b"") == before:
            keys[tenant_id] = new
        return keys.get(tenant_id, b"")

    async def ring_check(self, *, before: bytes = b"", new: bytes = b"") -> bytes:
        """Compare and set."""
        if new and self._ring_check == before:
            self._ring_check = new
        return self._ring_check

    async def page(self, partition: int, cursor: str, count: int) -> KeyPage:
        """All of them."""
        del cursor, count
        return KeyPage(list(self._partitions[partition].data_keys.items()), "")

    async def shred(self, tenant_id: str, principal: str) -> Shredded:
        """Drop the data key and raise the floor, without awaiting in between."""
        had_key = self._part(tenant_id).data_keys.pop(tenant_id, None) is not None
        return Shredded(self._end_tenant(tenant_id, principal), had_key)

    async def erase(self, keys: Sequence[Key]) -> int:
        """Drop the entries."""
        erased, now = 0, self._clock()
        for key in keys:
            part = self._part(key.tenant_id)
            if key in part.entries and live_entry(part, key, now) is None:
                del part.entries[key]
                erased += 1
        return erased

    def _part(self, tenant_id: str) -> Partition:
        return self._partitions[partition_of(tenant_id, len(self._partitions))]
