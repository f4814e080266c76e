"""What the server asks of a backend.

Every method is one atomic step in one partition. Each raises `StoreError`:
UNAVAILABLE where the backend cannot be reached, or does not answer before the
call's end (see `deadline`), and what its docstring names.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Literal, NamedTuple

from relevo_server.keys import Key, partition_of

ABSENT = 0
"""The version of an entry that is not there."""


class Stored(NamedTuple):
    """A live entry.

    `context` is a serialized `relevo.v1.ExecutionContext`; None if the entry has the
    version that the reader knows, or if the reader's limits leave the context out.
    """

    version: int
    created: int  # the revision of the first write since the entry was absent
    ttl_ms: int  # milliseconds left to live, at least 0
    context: bytes | None
    left_out: int = 0  # bytes of a context that the reader's limits leave out

    @property
    def size(self) -> int:
        """The context's bytes, whether they are here or left out."""
        return len(self.context or b"") or self.left_out


CORRUPT = Stored(version=-1, created=-1, ttl_ms=0, context=b"\xff")
"""Stands for a record that is no entry (S8). No reader can parse its context: whoever needs
that ends with DATA_LOSS, and so does nobody else. Its time is over, so it is never kept."""


class Read(NamedTuple):
    """Entries (None for an absent one), as they were together at `revision`."""

    revision: int
    entries: Sequence[Stored | None]


class Once(NamedTuple):
    """Names a request: repeated, it is answered as it was answered first, and does nothing."""

    request_id: str
    fingerprint: bytes  # tells different requests with one request_id apart


class Limits(NamedTuple):
    """How much of contexts a reader takes, in bytes."""

    each: int
    """Larger contexts are left out."""
    total: int
    """A context is left out that would make the answer larger than this, unless it is the first."""


def within(entries: Iterable[Stored | None], limits: Limits) -> list[Stored | None]:
    """Entries without the contexts that are over the limits."""
    total, found = 0, list[Stored | None]()
    for stored in entries:
        size = stored.size if stored else 0
        is_over = size > limits.each or (total and total + size > limits.total)
        total += 0 if is_over else size
        found.append(stored._replace(context=None, left_out=size) if stored and is_over else stored)
    return found


class Write(NamedTuple):
    """An entry to write. `expected` is the version that must be live, None for any.

    `lease` is the token of a lease that must be held, "" for none. `once` names the Put, None if
    it may happen again.
    """

    key: Key
    context: bytes
    ttl_ms: int
    expected: int | None = None
    lease: str = ""
    once: Once | None = None


class Written(NamedTuple):
    """What a write came to."""

    version: int
    created: int
    ttl_ms: int


class Wanted(NamedTuple):
    """Who wants to write an entry that is not there, or renew the one with a version.

    `token` and `ttl_ms` are of the lease, where it is given. `request_id` names the
    request, "" for none: repeated, it gets the same lease again.
    """

    key: Key
    token: str
    ttl_ms: int
    renewed: int = ABSENT
    request_id: str = ""


class Leased(NamedTuple):
    """What that comes to as of a revision: the entry, or a lease.

    `token` is "" where another caller holds the lease, for `ttl_ms` more.
    """

    revision: int
    entry: Stored | None
    token: str = ""
    ttl_ms: int = 0


class Event(NamedTuple):
    """One entry of a partition's log.

    `put`, `invalidate` and `release` (of a lease) name a key. `floor` names a tenant,
    and a scope of it or '' for all: every entry at or below the event's revision is dead.
    `foreign` is an entry that no server of Relevo has written: it means nothing.
    """

    revision: int
    kind: Literal["put", "invalidate", "release", "floor", "foreign"]
    key: Key | None = None
    tenant_id: str = ""
    scope: str = ""


class Gap(Enum):
    """Why a log does not continue from a position."""

    TRIMMED = "trimmed"
    """The events after it are no longer kept."""
    CHANGED = "changed"
    """The log is another one, or has lost what was at the position."""


class Tail(NamedTuple):
    """What a partition's log has after a position."""

    revision: int  # the partition's last, wherever `events` end
    events: Sequence[Event]
    gap: Gap | None = None  # then there are no events


class Storage(ABC):
    """A backend. `partitions` is fixed when the store is first used."""

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions

    def partition_of(self, tenant_id: str) -> int:
        """The partition that all keys of a tenant share."""
        return partition_of(tenant_id, self.partitions)

    @abstractmethod
    async def check(self) -> None:
        """See that the backend answers, and that its layout is this server's.

        Raises `LayoutError` where it is not.
        """

    async def eviction_policies(self) -> frozenset[str]:
        """What the backend does when its memory is full, by the names that Redis has.

        Empty if it evicts nothing, or does not say.
        """
        return frozenset()

    @abstractmethod
    async def close(self) -> None:
        """Let go of connections. Nothing may be asked afterwards."""

    @abstractmethod
    async def read(self, keys: Sequence[Key], known: Sequence[int] = ()) -> Read:
        """Entries of one partition. `known` has the versions that the reader has of them."""

    async def read_within(self, keys: Sequence[Key], limits: Limits) -> Read:
        """Entries of one partition, without the contexts that are over the limits."""
        read = await self.read(keys)
        return Read(read.revision, within(read.entries, limits))

    @abstractmethod
    async def write(self, write: Write) -> Written:
        """Write an entry and its event.

        Raises ABORTED where `expected` does not hold, FAILED_PRECONDITION where the
        lease is not held, INVALID_ARGUMENT where the request_id belongs to another Put,
        RESOURCE_EXHAUSTED where memory ran out. Every write ends the lease on its key.
        """

    @abstractmethod
    async def recall(self, key: Key, once: Once) -> Written | None:
        """The answer of an earlier Put with this request_id, None if there was none.

        Raises like `write`.
        """

    @abstractmethod
    async def invalidate(self, keys: Sequence[Key], once: Once | None = None) -> tuple[int, int]:
        """End entries of one tenant, and leases on them: the revision, and how many were alive.

        Takes a revision for each key, alive or not: an invalidation also ends
        what is about to be created. Raises INVALID_ARGUMENT if another Invalidate of the
        tenant had the request_id.
        """

    @abstractmethod
    async def invalidate_tenant(self, tenant_id: str, scope: str, once: Once | None = None) -> int:
        """End all entries of a tenant, or of one scope of it, and leases: the revision.

        Raises like `invalidate`.
        """

    @abstractmethod
    async def lease(self, wanted: Wanted) -> Leased:
        """The live entry, unless it is the one to renew; else the right to write it.

        One caller has it at a time. No write, and no event.
        """

    @abstractmethod
    async def release(self, key: Key, token: str) -> None:
        """End a lease, where it is held, with an event for those who wait for it."""

    @abstractmethod
    async def touch(self, key: Key) -> None:
        """Begin the time to live of a live entry anew. No write: nothing is told of it."""

    @abstractmethod
    async def tail(
        self, partition: int, position: int | None, limit: int, *, seen: Sequence[int] = ()
    ) -> Tail:
        """The first `limit` events after a position, which is a revision of the partition's.

        None is the end of the log, 0 its beginning: there is a gap once the log may have lost
        that, which is so when it has as many events as it keeps. `seen` are revisions as of
        which anything was read: where the log does not have one of them, there is a gap too.
        """

    @abstractmethod
    async def wait(self, partition: int, position: int, seconds: float) -> None:
        """Return when there may be events after a position, after `seconds` at the latest."""


class LayoutError(Exception):
    """The store was set up for another number of partitions, or another layout."""
