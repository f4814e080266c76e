"""The embedded backend: one process, nothing survives it."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import takewhile, zip_longest
from typing import Any

from relevo_server import errors, revisions
from relevo_server.keys import Key
from relevo_server.storage.interface import (
    ABSENT,
    Event,
    Gap,
    Leased,
    Once,
    Read,
    Storage,
    Stored,
    Tail,
    Wanted,
    Write,
    Written,
)


@dataclass(slots=True)
class _Entry:
    version: int
    created: int
    deadline: float
    ttl: float  # seconds, from the last write or touch
    context: bytes


@dataclass(slots=True)
class _Lease:
    token: str
    revision: int  # as of which it was given
    deadline: float
    request_id: str


_Name = tuple[Key | str, str]  # an entry or, for an Invalidate, a tenant; the request_id
_Request = tuple[float, bytes, Any]  # until when it is kept, fingerprint, answer


@dataclass(slots=True)
class _Partition:
    log: deque[Event]
    revision: int = 0
    entries: dict[Key, _Entry] = field(default_factory=dict[Key, _Entry])
    floors: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    leases: dict[Key, _Lease] = field(default_factory=dict[Key, _Lease])
    requests: dict[_Name, _Request] = field(default_factory=dict[_Name, _Request])
    written: asyncio.Event = field(default_factory=asyncio.Event)
    sweep_at: int = 64  # the number of all these at which to look for dead ones


class MemoryStorage(Storage):
    """Entries in dictionaries. Single-threaded: every method runs without a pause.

    `clock` gives seconds since 1970 and `monotonic` seconds that never go back.
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
        self._parts = [_Partition(deque(maxlen=log_length)) for _ in range(partitions)]

    async def check(self) -> None:
        """Always well."""

    async def close(self) -> None:
        """Nothing to let go of."""

    async def read(self, keys: Sequence[Key], known: Sequence[int] = ()) -> Read:
        """Look the entries up."""
        part = self._part(keys[0].tenant_id)
        now = self._monotonic()
        entries: list[Stored | None] = []
        for key, version in zip_longest(keys, known):
            entry = self._live(part, key, now)
            entries.append(_stored(entry, now, version) if entry else None)
        return Read(part.revision, entries)

    async def write(self, write: Write) -> Written:
        """Compare, replace, and append the event."""
        part = self._part(write.key.tenant_id)
        earlier: Written | None = self._recalled(part, write.key, write.once)
        if earlier:
            return earlier
        now = self._monotonic()
        if write.lease:
            held = self._held(part, write.key, now)
            if held is None or held.token != write.lease:
                raise errors.lease_lost(write.key)
        live = self._live(part, write.key, now)
        current = live.version if live else ABSENT
        if write.expected is not None and write.expected != current:
            raise errors.conflict(write.key, write.expected, current)
        version = self._next(part)
        written = Written(version, live.created if live else version, write.ttl_ms)
        ttl = write.ttl_ms / 1000
        entry = _Entry(version, written.created, now + ttl, ttl, write.context)
        part.entries[write.key] = entry
        part.leases.pop(write.key, None)
        part.log.append(Event(version, "put", write.key))
        self._remember(part, write.key, write.once, written)
        self._sweep(part, now)
        return written

    async def recall(self, key: Key, once: Once) -> Written | None:
        """Look the request up."""
        earlier: Written | None = self._recalled(self._part(key.tenant_id), key, once)
        return earlier

    async def invalidate(self, keys: Sequence[Key], once: Once | None = None) -> tuple[int, int]:
        """Drop the entries."""
        tenant_id = keys[0].tenant_id
        part = self._part(tenant_id)
        earlier: tuple[int, int] | None = self._recalled(part, tenant_id, once)
        if earlier:
            return earlier
        now = self._monotonic()
        count = 0
        for key in keys:
            count += self._live(part, key, now) is not None
            part.entries.pop(key, None)
            part.leases.pop(key, None)
            part.log.append(Event(self._next(part), "invalidate", key))
        answer = part.revision, count
        self._remember(part, tenant_id, once, answer)
        self._sweep(part, now)
        return answer

    async def invalidate_tenant(self, tenant_id: str, scope: str, once: Once | None = None) -> int:
        """Raise a floor."""
        part = self._part(tenant_id)
        earlier: int | None = self._recalled(part, tenant_id, once)
        if earlier:
            return earlier
        revision = self._next(part)
        part.floors[tenant_id, scope] = revision
        part.log.append(Event(revision, "floor", tenant_id=tenant_id, scope=scope))
        self._remember(part, tenant_id, once, revision)
        self._sweep(part, self._monotonic())
        return revision

    async def lease(self, wanted: Wanted) -> Leased:
        """Look both up."""
        key = wanted.key
        part = self._part(key.tenant_id)
        now = self._monotonic()
        entry = self._live(part, key, now)
        if entry and entry.version != wanted.renewed:
            return Leased(part.revision, _stored(entry, now))
        held = self._held(part, key, now)
        if held:
            is_known = wanted.request_id and held.request_id == wanted.request_id
            left = int((held.deadline - now) * 1000)
            return Leased(part.revision, None, held.token if is_known else "", left)
        deadline = now + wanted.ttl_ms / 1000
        part.leases[key] = _Lease(wanted.token, part.revision, deadline, wanted.request_id)
        self._sweep(part, now)
        return Leased(part.revision, None, wanted.token, wanted.ttl_ms)

    async def release(self, key: Key, token: str) -> None:
        """Drop it."""
        part = self._part(key.tenant_id)
        held = part.leases.get(key)
        if held and held.token == token and held.deadline > self._monotonic():
            del part.leases[key]
            part.log.append(Event(self._next(part), "release", key))

    async def touch(self, key: Key) -> None:
        """Set its deadline."""
        now = self._monotonic()
        entry = self._live(self._part(key.tenant_id), key, now)
        if entry:
            entry.deadline = now + entry.ttl

    async def tail(
        self, partition: int, position: int | None, limit: int, *, seen: Sequence[int] = ()
    ) -> Tail:
        """Look through the log. It never loses what was seen."""
        del seen
        part = self._parts[partition]
        if position is None:
            return Tail(part.revision, [])
        newer = list(takewhile(lambda event: event.revision > position, reversed(part.log)))
        # What is at the position is in the log; what is at the beginning was never in it.
        is_gone = len(newer) == len(part.log) and part.revision > position
        if is_gone and (position or len(newer) == part.log.maxlen):
            return Tail(part.revision, [], Gap.TRIMMED)
        return Tail(part.revision, newer[::-1][:limit])

    async def wait(self, partition: int, position: int, seconds: float) -> None:
        """Wait for the next write, where there is none yet."""
        part = self._parts[partition]
        if part.revision > position:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await part.written.wait()

    def _part(self, tenant_id: str) -> _Partition:
        return self._parts[self.partition_of(tenant_id)]

    def _next(self, part: _Partition) -> int:
        part.revision = revisions.after(part.revision, int(self._clock() * 1000))
        part.written.set()
        part.written.clear()
        return part.revision

    def _recalled(self, part: _Partition, owner: Key | str, once: Once | None) -> Any:
        """The answer of the request's first copy, None if this is the first."""
        found = once and part.requests.get((owner, once.request_id))
        if not (once and found) or found[0] <= self._monotonic():
            return None
        if found[1] != once.fingerprint:
            raise errors.request_id_reused(owner)
        return found[2]

    def _remember(
        self, part: _Partition, owner: Key | str, once: Once | None, answer: object
    ) -> None:
        if once:
            until = self._monotonic() + self._request_ttl
            part.requests[owner, once.request_id] = until, once.fingerprint, answer

    def _live(self, part: _Partition, key: Key, now: float) -> _Entry | None:
        entry = part.entries.get(key)
        if entry is None or entry.deadline <= now:
            return None
        return entry if not part.floors or entry.version > _floor(part, key) else None

    def _held(self, part: _Partition, key: Key, now: float) -> _Lease | None:
        lease = part.leases.get(key)
        if lease is None or lease.deadline <= now:
            return None
        return lease if lease.revision >= _floor(part, key) else None

    def _sweep(self, part: _Partition, now: float) -> None:
        """Give dead memory back, at a cost that is constant per write on average."""
        if len(part.entries) + len(part.leases) + len(part.requests) < part.sweep_at:
            return
        part.entries = {key: e for key, e in part.entries.items() if self._live(part, key, now)}
        part.leases = {key: e for key, e in part.leases.items() if self._held(part, key, now)}
        part.requests = {name: r for name, r in part.requests.items() if r[0] > now}
        part.sweep_at = max(64, 2 * (len(part.entries) + len(part.leases) + len(part.requests)))


def _floor(part: _Partition, key: Key) -> int:
    """The last revision that ended the key's whole tenant, or its scope."""
    tenant, floors = key.tenant_id, part.floors
    return max(floors.get((tenant, ""), 0), floors.get((tenant, key.scope), 0))


def _stored(entry: _Entry, now: float, known: int | None = None) -> Stored:
    left = int((entry.deadline - now) * 1000)
    context = None if entry.version == known else entry.context
    return Stored(entry.version, entry.created, left, context)
