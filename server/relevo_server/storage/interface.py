"""The interface of a storage backend.

Every method is one atomic step in one partition. Each raises `StoreError`:
UNAVAILABLE if the backend cannot be reached or does not answer before the call's
deadline (see `deadline`), and the errors that its docstring names.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from relevo_server import errors
from relevo_server.hiding import hides
from relevo_server.keys import Key, partition_of
from relevo_server.quotas import LimitsOf
from relevo_server.storage.events import Tail
from relevo_server.storage.inspection import Inspection
from relevo_server.storage.key_records import KeyRecords, Rewrapped, Shredded

ABSENT = 0
"""The version of an absent entry."""


@hides("context")
class Stored(NamedTuple):
    """A live entry.

    `context` is a serialized `relevo.v1.ExecutionContext`. It is None if the reader already
    has this version, or if the context exceeds the reader's limits.
    """

    version: int
    created: int  # the revision of the first write since the entry was absent
    ttl_ms: int  # remaining time to live in milliseconds, at least 0
    context: bytes | None
    left_out: int = 0  # size in bytes of a context that exceeds the reader's limits

    @property
    def size(self) -> int:
        """The context's size in bytes, also if it was left out."""
        return len(self.context or b"") or self.left_out


CORRUPT = Stored(version=-1, created=-1, ttl_ms=0, context=b"\xff")
"""Stands for a record that is not an entry (S8). Its context cannot be parsed: a call that needs
it ends with DATA_LOSS, and no other call does. It has expired already, so no cache keeps it."""


class Read(NamedTuple):
    """The result of a read: all entries as of `revision`, None for an absent one."""

    revision: int
    entries: Sequence[Stored | None]


class Once(NamedTuple):
    """Identifies a request: a repetition gets the first answer again and changes nothing."""

    request_id: str
    fingerprint: bytes  # detects a different request with the same request_id


class Limits(NamedTuple):
    """The sizes of contexts that a reader accepts, in bytes."""

    each: int
    """The largest context; larger ones are left out."""
    total: int
    """The size of all contexts of an answer. The first context is never left out for it."""


SIZES_ONLY = Limits(each=0, total=0)
"""No context is accepted: the answers have the contexts' sizes."""


def within(entries: Iterable[Stored | None], limits: Limits) -> list[Stored | None]:
    """The entries, without the contexts that exceed the limits."""
    total, found = 0, list[Stored | None]()
    for stored in entries:
        size = stored.size if stored else 0
        is_over = size > limits.each or (total and total + size > limits.total)
        total += 0 if is_over else size
        if stored and stored.context is not None and is_over:
            found.append(stored._replace(context=None, left_out=size))
        else:
            found.append(stored)
    return found


@hides("context", "lease")
class Write(NamedTuple):
    """An entry to write, and the conditions for it.

    `expected` is the version that the live entry must have, None for any. `lease` is the
    token of a lease that must be held, "" for none. `once` identifies the Put, None if a
    repetition may write again. `principal` and `fields` are recorded in the event. `key_id` is
    the id of the tenant's data key, b"" if the context is not encrypted.
    """

    key: Key
    context: bytes
    ttl_ms: int
    expected: int | None = None
    lease: str = ""
    once: Once | None = None
    principal: str = ""
    fields: tuple[str, ...] = ()
    key_id: bytes = b""


class Written(NamedTuple):
    """The result of a write."""

    version: int
    created: int
    ttl_ms: int


@hides("token", "request_id")
class LeaseAttempt(NamedTuple):
    """A caller's attempt to lease an absent entry, or to renew the version `renewed`.

    `token` (from `lease_tokens.new_token`) and `ttl_ms` are those of the lease, if it is granted.
    `request_id` identifies the attempt, "" for none: a repetition gets the same lease again.
    """

    key: Key
    token: str
    ttl_ms: int
    renewed: int = ABSENT
    request_id: str = ""


@hides("token")
class Leased(NamedTuple):
    """The result of a `LeaseAttempt` as of a revision: the entry, or a lease.

    `token` is "" if another caller holds the lease, for `ttl_ms` milliseconds more.
    """

    revision: int
    entry: Stored | None
    token: str = ""
    ttl_ms: int = 0


def _unlimited(_: str) -> None:
    """The limits of a store without quotas."""


class Storage(ABC):
    """A storage backend. The number of partitions is fixed when the store is first used."""

    inspection: Inspection
    """The backend's state and usage, for operators."""
    data_keys: KeyRecords
    """The data keys of tenants, by which values are encrypted before the backend has them."""

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self.limits_of: LimitsOf = _unlimited
        """The limits of each tenant's entries and bytes."""

    def limit(self, limits_of: LimitsOf) -> None:
        """Set the limits of each tenant's entries and bytes. Later ones replace them."""
        self.limits_of = limits_of

    def partition_of(self, tenant_id: str) -> int:
        """The partition that all keys of a tenant share."""
        return partition_of(tenant_id, self.partitions)

    @abstractmethod
    async def check(self) -> None:
        """Check that the backend answers, lets this server do its work, and has its layout.

        Raises `LayoutError` if the layout differs, and UNAVAILABLE: from a `MissingRightsError`
        if the backend answers, but calls would fail.
        """

    async def eviction_policies(self) -> frozenset[str]:
        """The backend's eviction policies, by Redis's names for them.

        Empty if the backend evicts nothing, or does not report its policy.
        """
        return frozenset()

    @abstractmethod
    async def close(self) -> None:
        """Close the connections. No method may be called afterwards."""

    @abstractmethod
    async def read(
        self,
        keys: Sequence[Key],
        known_versions: Sequence[int] = (),
        limits: Limits | None = None,
    ) -> Read:
        """Read entries of one partition.

        `known_versions` has the version of each entry that the reader already has; the context
        of an entry that still has it is left out. So are the contexts that exceed the limits.
        """

    async def read_within(
        self, keys: Sequence[Key], limits: Limits, *, position: int | None = None
    ) -> Read:
        """The same without known versions. It may wait for reads of the same keys in flight.

        Raises UNAVAILABLE if the log does not have the event at `position`: then it has lost what
        was read earlier, and this read is of another order.
        """
        del position  # a storage that loses nothing
        return await self.read(keys, (), limits)

    @abstractmethod
    async def write(self, write: Write) -> Written:
        """Write an entry and its event.

        Every write ends the lease on its key. Raises ABORTED if the live version is not
        `expected`, FAILED_PRECONDITION if the lease is not held, INVALID_ARGUMENT if another
        Put had the request_id, RESOURCE_EXHAUSTED if memory ran out, or if the tenant would have
        more entries or bytes than before and than `limits_of` allows. Raises ChangedKeyError if
        `key_id` is not that of the tenant's data key.
        """

    async def shred(self, tenant_id: str, principal: str) -> Shredded:
        """As `KeyRecords.shred`."""
        return await self.data_keys.shred(tenant_id, principal)

    async def rewrap(self, partition: int) -> Rewrapped:
        """Wrap the data keys of a partition by the key ring's primary key.

        Raises UNIMPLEMENTED if this server does not encrypt.
        """
        del partition
        raise errors.not_encrypted()

    @abstractmethod
    async def recall(self, key: Key, once: Once) -> Written | None:
        """The result of an earlier write with this request_id, or None. Raises like `write`."""

    @abstractmethod
    async def invalidate(
        self, keys: Sequence[Key], once: Once | None = None, principal: str = ""
    ) -> tuple[int, int]:
        """End entries of one tenant and the leases on them. The events record `principal`.

        Returns the last revision, and the number of entries that were live. Every key takes
        a revision, also that of an absent entry: the invalidation also ends an entry that is
        about to be created. Raises INVALID_ARGUMENT if another Invalidate of the tenant had
        the request_id.
        """

    @abstractmethod
    async def invalidate_tenant(
        self, tenant_id: str, scope: str, once: Once | None = None, principal: str = ""
    ) -> int:
        """End all entries and leases of a tenant, or of one of its scopes ("" for all).

        Returns the revision. Raises like `invalidate`.
        """

    @abstractmethod
    async def lease(self, attempt: LeaseAttempt) -> Leased:
        """Return the live entry, unless it is the one to renew; else a lease on the key.

        One caller holds the lease at a time. This writes no entry and no event.
        """

    @abstractmethod
    async def release(self, key: Key, token: str) -> None:
        """End a lease, if it is held, with an event for the callers that wait for it."""

    @abstractmethod
    async def touch(self, key: Key) -> None:
        """Restart the time to live of a live entry. This is not a write and has no event."""

    @abstractmethod
    async def tail(
        self, partition: int, position: int | None, limit: int, *, seen: Sequence[int] = ()
    ) -> Tail:
        """The first `limit` events after a position.

        The position is a revision of the partition, None for the end of the log, or 0 for its
        beginning, before the partition's first write. There is a gap if the log no longer has the
        event at the position (from 0, that of the first write): it has lost some. `seen` are
        revisions as of which something was read: if the log lacks one of them, there is a gap too.
        """

    @abstractmethod
    async def wait(self, partition: int, position: int, seconds: float) -> None:
        """Wait until there may be events after a position, for `seconds` at most.

        The position is the `revision` of the partition's last `tail`; else it may return at once.
        """
