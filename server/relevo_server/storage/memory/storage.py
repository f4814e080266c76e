"""The in-memory backend, for one process; its entries end with the process."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import takewhile, zip_longest
from typing import Any

from relevo_server import errors, revisions
from relevo_server.keys import Key
from relevo_server.quotas import Quota
from relevo_server.storage.events import Event, Gap, Tail
from relevo_server.storage.inspection import Held
from relevo_server.storage.interface import (
    ABSENT,
    LeaseAttempt,
    Leased,
    Limits,
    Once,
    Read,
    Storage,
    Stored,
    Write,
    Written,
    within,
)
from relevo_server.storage.key_records import ChangedKeyError
from relevo_server.storage.memory.inspection import MemoryInspection
from relevo_server.storage.memory.key_records import MemoryKeyRecords
from relevo_server.storage.memory.state import (
    Entry,
    Lease,
    Partition,
    live_entry,
    live_lease,
)

_SWEEP_PAUSE = 1.0
"""Seconds after which dead entries are searched again to make room for a tenant that has none."""


class MemoryStorage(Storage):
    """Keeps entries in dictionaries. Every method runs without awaiting, so it is atomic.

    `clock` gives seconds since 1970, `monotonic` seconds that never go back.
    """

    def __init__(
        self,
        partitions: int,
        *,
        log_length: int,
        request_ttl_ms: int,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(partitions)
        self._clock = clock
        self._monotonic = monotonic
        self._request_ttl = request_ttl_ms / 1000
        self._parts = [Partition(deque(maxlen=log_length)) for _ in range(partitions)]
        self.inspection = MemoryInspection(self._parts, clock, monotonic)
        self.data_keys = MemoryKeyRecords(self._parts, self._end_tenant, monotonic)

    async def check(self) -> None:
        """Do nothing: the backend always answers."""

    async def close(self) -> None:
        """Do nothing: there are no connections."""

    async def read(
        self,
        keys: Sequence[Key],
        known_versions: Sequence[int] = (),
        limits: Limits | None = None,
    ) -> Read:
        """Look the entries up."""
        part = self._part(keys[0].tenant_id)
        now = self._monotonic()
        entries: list[Stored | None] = []
        for key, version in zip_longest(keys, known_versions):
            entry = live_entry(part, key, now)
            entries.append(_stored(entry, now, version) if entry else None)
        return Read(part.revision, within(entries, limits) if limits else entries)

    async def write(self, write: Write) -> Written:
        """Compare, replace, and append the event."""
        part = self._part(write.key.tenant_id)
        earlier: Written | None = self._recalled(part, write.key, write.once)
        if earlier:
            return earlier
        now = self._monotonic()
        if write.lease:
            lease = live_lease(part, write.key, now)
            if lease is None or lease.token != write.lease:
                raise errors.lease_lost(write.key)
        live = live_entry(part, write.key, now)
        current = live.version if live else ABSENT
        if write.expected is not None and write.expected != current:
            raise errors.conflict(write.key, write.expected, current)
        if write.key_id != part.data_keys.get(write.key.tenant_id, b"")[: len(write.key_id)]:
            raise ChangedKeyError
        self._require_room(part, write, now)
        version = self._next(part)
        written = Written(version, live.created if live else version, write.ttl_ms)
        ttl = write.ttl_ms / 1000
        entry = Entry(version, written.created, now + ttl, ttl, write.context)
        part.put(write.key, entry)
        part.leases.pop(write.key, None)
        event = Event(version, "put", write.key, principal=write.principal, fields=write.fields)
        part.log.append(event)
        self._remember(part, write.key, write.once, written)
        self._sweep(part, now)
        return written

    async def recall(self, key: Key, once: Once) -> Written | None:
        """Look the request up."""
        earlier: Written | None = self._recalled(self._part(key.tenant_id), key, once)
        return earlier

    async def invalidate(
        self, keys: Sequence[Key], once: Once | None = None, principal: str = ""
    ) -> tuple[int, int]:
        """Drop the entries."""
        tenant_id = keys[0].tenant_id
        part = self._part(tenant_id)
        earlier: tuple[int, int] | None = self._recalled(part, tenant_id, once)
        if earlier:
            return earlier
        now = self._monotonic()
        count = 0
        for key in keys:
            count += live_entry(part, key, now) is not None
            part.drop(key)
            part.leases.pop(key, None)
            part.log.append(Event(self._next(part), "invalidate", key, principal=principal))
        answer = part.revision, count
        self._remember(part, tenant_id, once, answer)
        self._sweep(part, now)
        return answer

    async def invalidate_tenant(
        self, tenant_id: str, scope: str, once: Once | None = None, principal: str = ""
    ) -> int:
        """Raise the floor of the tenant or the scope."""
        part = self._part(tenant_id)
        earlier: int | None = self._recalled(part, tenant_id, once)
        if earlier:
            return earlier
        revision = self._end_tenant(tenant_id, principal, scope)
        self._remember(part, tenant_id, once, revision)
        self._sweep(part, self._monotonic())
        return revision

    async def lease(self, attempt: LeaseAttempt) -> Leased:
        """Look the entry and the lease up."""
        key = attempt.key
        part = self._part(key.tenant_id)
        now = self._monotonic()
        entry = live_entry(part, key, now)
        if entry and entry.version != attempt.renewed:
            return Leased(part.revision, _stored(entry, now))
        lease = live_lease(part, key, now)
        if lease:
            is_repetition = attempt.request_id and lease.request_id == attempt.request_id
            left = int((lease.deadline - now) * 1000)
            return Leased(part.revision, None, lease.token if is_repetition else "", left)
        deadline = now + attempt.ttl_ms / 1000
        part.leases[key] = Lease(attempt.token, part.revision, deadline, attempt.request_id)
        self._sweep(part, now)
        return Leased(part.revision, None, attempt.token, attempt.ttl_ms)

    async def release(self, key: Key, token: str) -> None:
        """Drop the lease."""
        part = self._part(key.tenant_id)
        lease = part.leases.get(key)
        if lease and lease.token == token and lease.deadline > self._monotonic():
            del part.leases[key]
            part.log.append(Event(self._next(part), "release", key))

    async def touch(self, key: Key) -> None:
        """Set the entry's deadline."""
        now = self._monotonic()
        entry = live_entry(self._part(key.tenant_id), key, now)
        if entry:
            entry.deadline = now + entry.ttl

    async def tail(
        self, partition: int, position: int | None, limit: int, *, seen: Sequence[int] = ()
    ) -> Tail:
        """Search the log. It never loses an event that was seen."""
        del seen
        part = self._parts[partition]
        if position is None:
            return Tail(part.revision, [])
        # A log that continues from the beginning has the partition's first event.
        if part.revision > position and part.log[0].revision > (position or part.first):
            return Tail(part.revision, [], Gap.TRIMMED)
        newer = list(takewhile(lambda event: event.revision > position, reversed(part.log)))
        return Tail(part.revision, newer[::-1][:limit])

    async def wait(self, partition: int, position: int, seconds: float) -> None:
        """Wait for the next write, if there is none after the position."""
        part = self._parts[partition]
        if part.revision > position:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await part.written.wait()

    def _end_tenant(self, tenant_id: str, principal: str, scope: str = "") -> int:
        part = self._part(tenant_id)
        revision = part.floors[tenant_id, scope] = self._next(part)
        event = Event(revision, "floor", tenant_id=tenant_id, scope=scope, principal=principal)
        part.log.append(event)
        return revision

    def _require_room(self, part: Partition, write: Write, now: float) -> None:
        """Raise RESOURCE_EXHAUSTED if the tenant would have more than before and than it may."""
        tenant_id = write.key.tenant_id
        limits = self.limits_of(tenant_id)
        if limits is None:
            return
        while True:
            earlier = part.entries.get(write.key)
            more = len(write.context) - (len(earlier.context) if earlier else 0)
            held = part.held.get(tenant_id, Held(0, 0))
            if earlier is None and held.entries >= limits.entries:
                quota = Quota.ENTRIES
            elif more > 0 and held.bytes + more > limits.bytes:
                quota = Quota.BYTES
            else:
                return
            if now - part.swept < _SWEEP_PAUSE:
                raise errors.stored_too_much(quota, limits, tenant_id)
            part.drop_dead_entries(now)

    def _part(self, tenant_id: str) -> Partition:
        return self._parts[self.partition_of(tenant_id)]

    def _next(self, part: Partition) -> int:
        part.revision = revisions.after(part.revision, int(self._clock() * 1000))
        part.first = part.first or part.revision
        part.written.set()
        part.written.clear()
        return part.revision

    def _recalled(self, part: Partition, owner: Key | str, once: Once | None) -> Any:
        """The answer that the request got before, or None if it is not a repetition."""
        earlier = once and part.requests.get((owner, once.request_id))
        if not (once and earlier) or earlier[0] <= self._monotonic():
            return None
        if earlier[1] != once.fingerprint:
            raise errors.request_id_reused(owner)
        return earlier[2]

    def _remember(
        self, part: Partition, owner: Key | str, once: Once | None, answer: object
    ) -> None:
        if once:
            until = self._monotonic() + self._request_ttl
            part.requests[owner, once.request_id] = until, once.fingerprint, answer

    def _sweep(self, part: Partition, now: float) -> None:
        """Drop what is dead, and the floors. The amortized cost per write is constant."""
        if part.size < part.sweep_at:
            return
        part.drop_dead_entries(now)
        part.leases = {key: e for key, e in part.leases.items() if live_lease(part, key, now)}
        part.requests = {name: r for name, r in part.requests.items() if r[0] > now}
        part.floors.clear()  # what they ended is gone
        part.sweep_at = max(64, 2 * part.size)


def _stored(entry: Entry, now: float, known_version: int | None = None) -> Stored:
    left = int((entry.deadline - now) * 1000)
    context = None if entry.version == known_version else entry.context
    return Stored(entry.version, entry.created, left, context)
