"""The tenants' data keys in Redis: one hash for each partition."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from relevo_server import revisions
from relevo_server.keys import Key, partition_of
from relevo_server.storage.key_records import KeyPage, KeyRecords, Shredded
from relevo_server.storage.redis import records
from relevo_server.storage.redis.client import Script
from relevo_server.storage.redis.connection import Argument

Run = Callable[[Script, Sequence[str], Sequence[Argument]], Awaitable[Any]]
"""Runs a script with keys and arguments."""

_EXCHANGE = Script("exchange")
_DATA_KEYS = Script("data_keys")
_SHRED = Script("shred")
_ERASE = Script("erase")


class RedisKeyRecords(KeyRecords):
    """Every method is one script in one slot."""

    def __init__(self, run: Run, *, partitions: int, prefix: str, log_length: int) -> None:
        self._run = run
        self._partitions = partitions
        self._prefix = prefix
        self._log_length = log_length

    async def wrapped_key(self, tenant_id: str, *, before: bytes = b"", new: bytes = b"") -> bytes:
        """A field of the partition's hash."""
        name = records.data_keys(self._tag(tenant_id))
        found: bytes = await self._run(_EXCHANGE, [name], [tenant_id, before, new])
        return found

    async def ring_check(self, *, before: bytes = b"", new: bytes = b"") -> bytes:
        """A field of the layout's record."""
        name = f"{self._prefix}:layout"
        found: bytes = await self._run(_EXCHANGE, [name], [records.RING_CHECK, before, new])
        return found

    async def page(self, partition: int, cursor: str, count: int) -> KeyPage:
        """One HSCAN."""
        name = records.data_keys(records.hash_tag(self._prefix, partition))
        following, found = await self._run(_DATA_KEYS, [name], [cursor or "0", count])
        tenants = [tenant.decode(errors="replace") for tenant in found[::2]]
        keys = list(zip(tenants, found[1::2], strict=True))
        return KeyPage(keys, "" if following == b"0" else following.decode())

    async def shred(self, tenant_id: str, principal: str) -> Shredded:
        """Run one script."""
        tag = self._tag(tenant_id)
        names = [f"{tag}:state", f"{tag}:log", records.data_keys(tag)]
        args: list[Argument] = [self._log_length, records.floor(tenant_id, ""), tenant_id]
        revision, deleted = await self._run(_SHRED, names, [*args, principal])
        return Shredded(revisions.from_log_id(revision), bool(deleted))

    async def erase(self, keys: Sequence[Key]) -> int:
        """Run one script, whatever the number of keys."""
        if not keys:
            return 0
        tag = self._tag(keys[0].tenant_id)
        names = [f"{tag}:state", *(f"{tag}:entry:{records.text(key)}" for key in keys)]
        args: list[Argument] = [records.floor(keys[0].tenant_id, "")]
        args += [records.floors(key)[1] for key in keys]
        erased: int = await self._run(_ERASE, names, args)
        return erased

    def _tag(self, tenant_id: str) -> str:
        return records.hash_tag(self._prefix, partition_of(tenant_id, self._partitions))
