"""The state of the in-memory backend, and which of it is live."""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from relevo_server.hiding import hides
from relevo_server.keys import Key
from relevo_server.storage.events import Event
from relevo_server.storage.inspection import Held


@hides("context")
@dataclass(slots=True)
class Entry:
    """An entry; `deadline` is a time of the monotonic clock."""

    version: int
    created: int
    deadline: float
    ttl: float  # seconds, from the last write or touch
    context: bytes


@hides("token", "request_id")
@dataclass(slots=True)
class Lease:
    """A lease; `deadline` is a time of the monotonic clock."""

    token: str
    revision: int  # as of which it was granted
    deadline: float
    request_id: str


Name = tuple[Key | str, str]  # an entry or, for an Invalidate, a tenant; the request_id
Request = tuple[float, bytes, Any]  # until when it is kept, fingerprint, answer


@hides("data_keys")
@dataclass(slots=True)
class Partition:
    """A partition's log, entries, floors, leases and answered requests."""

    log: deque[Event]
    first: int = 0  # the first revision, 0 for none
    revision: int = 0
    entries: dict[Key, Entry] = field(default_factory=dict[Key, Entry])
    floors: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    leases: dict[Key, Lease] = field(default_factory=dict[Key, Lease])
    data_keys: dict[str, bytes] = field(default_factory=dict[str, bytes])
    requests: dict[Name, Request] = field(default_factory=dict[Name, Request])
    held: dict[str, Held] = field(default_factory=dict[str, Held])  # by tenant, dead entries too
    written: asyncio.Event = field(default_factory=asyncio.Event)
    sweep_at: int = 64  # the size that starts a sweep
    swept: float = float("-inf")  # the time of the last sweep

    @property
    def size(self) -> int:
        """The number of entries, leases, requests and floors."""
        return len(self.entries) + len(self.leases) + len(self.requests) + len(self.floors)

    def put(self, key: Key, entry: Entry) -> None:
        """Replace an entry."""
        self.drop(key)
        self.entries[key] = entry
        self._count(key.tenant_id, 1, len(entry.context))

    def drop(self, key: Key) -> None:
        """Drop an entry, if there is one."""
        entry = self.entries.pop(key, None)
        if entry:
            self._count(key.tenant_id, -1, -len(entry.context))

    def drop_dead_entries(self, now: float) -> None:
        """Drop what has expired, or is below a floor."""
        self.swept = now
        for key in [key for key in self.entries if not live_entry(self, key, now)]:
            self.drop(key)

    def _count(self, tenant_id: str, entries: int, size: int) -> None:
        held = self.held.get(tenant_id, Held(0, 0))
        self.held[tenant_id] = Held(held.entries + entries, held.bytes + size)
        if not self.held[tenant_id].entries:
            del self.held[tenant_id]


def live_entry(part: Partition, key: Key, now: float) -> Entry | None:
    """The entry under a key, or None if there is none, or if it is dead."""
    entry = part.entries.get(key)
    if entry is None or entry.deadline <= now:
        return None
    return entry if not part.floors or entry.version > _floor(part, key) else None


def live_lease(part: Partition, key: Key, now: float) -> Lease | None:
    """The lease on a key, or None if there is none, or if it has ended."""
    lease = part.leases.get(key)
    if lease is None or lease.deadline <= now:
        return None
    return lease if lease.revision >= _floor(part, key) else None


def _floor(part: Partition, key: Key) -> int:
    """The last revision that ended all of the key's tenant or of its scope."""
    tenant, floors = key.tenant_id, part.floors
    return max(floors.get((tenant, ""), 0), floors.get((tenant, key.scope), 0))
