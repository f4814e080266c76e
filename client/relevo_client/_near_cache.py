"""The near cache: copies that a process keeps, and the rules by which it may use them.

A machine without I/O and clock: inputs are messages of a Watch stream and times,
outputs are decisions and what the stream is to be asked. Its rules, by the names that
they have in the design:

- N1. A copy serves a call with the fence R only where its key's subscription is
  answered and the partition's position is R or later; a single entry without layers
  also where its own version is.
- N2. And only while the partition was heard of within `max_staleness` seconds.
- N3. Copies come from the stream only, in its order; an older version never follows a
  newer one.
- N4. After a reconnect or a reset each copy is verified by its version before use.
- N6. Entries and bytes are bounded; the least recently used go first.
- N7. That an entry is absent is known by the same rules.

Times are seconds of any clock that never goes back.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from relevo.v1.context_pb2 import ContextEntry as EntryMessage
from relevo.v1.store_pb2 import Invalidated, Progress, Reset, WatchResponse

from relevo_client._keys import ContextKey


class Subscribe(NamedTuple):
    """Ask the stream for a key, and for every change of it."""

    key: ContextKey
    known_version: int
    position: int


class Unsubscribe(NamedTuple):
    """Ask the stream for a key no more."""

    key: ContextKey


class Touch(NamedTuple):
    """Keep an entry alive."""

    key: ContextKey


Request: TypeAlias = Subscribe | Unsubscribe | Touch

ABSENT = 0
"""The version of what is not there."""


@dataclass(slots=True)
class Copy:
    """What is known of a key."""

    key: ContextKey
    partition: int | None = None
    version: int | None = None
    """ABSENT where there is no entry; None where it has changed to an unknown value."""
    message: EntryMessage | None = None
    """The entry of that version."""
    size: int = 0
    deadline: float = 0.0
    """When its time to live is over."""
    lifetime: float = 0.0
    """Seconds that it had to live when it was last heard of."""
    floor: int = 0
    """Versions up to this one are outdated."""
    is_answered: bool = False
    """Whether the stream has answered the subscription, since it began."""
    touched: float = field(default=float("-inf"))
    value: object = None
    """What the owner of the cache made of the message; gone with the version."""


@dataclass(slots=True)
class _Partition:
    position: int = 0
    heard: float = field(default=float("-inf"))


class NearCache:
    """The copies of one client. Not safe for threads: its driver sees to that."""

    def __init__(
        self, *, max_staleness: float, max_entries: int = 10_000, max_bytes: int = 64 << 20
    ) -> None:
        self._max_staleness = max_staleness
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._copies: OrderedDict[ContextKey, Copy] = OrderedDict()
        self._partitions: dict[int, _Partition] = {}
        self._bytes = 0
        self._is_connected = False
        self._requests: list[Request] = []

    def lookup(self, key: ContextKey, fence: int, now: float) -> Copy | None:
        """The copy of a key, where it may be used for a call with this fence (N1, N2, N7).

        None where the store has to be asked. The key is in use from now on.
        """
        copy = self._copies.get(key)
        if copy is None:
            copy = self._copies[key] = Copy(key)
            self._ask(copy)
            self._evict()
            return None
        self._copies.move_to_end(key)
        if not copy.is_answered:
            return None
        if copy.version is None or not self.is_live(copy, now):
            return None
        if copy.version != ABSENT:
            if copy.deadline <= now:
                self._verify(copy)  # somebody may have kept it alive
                return None
            self._keep_alive(copy, now)
        return copy if self._is_as_of(copy, fence) else None

    def is_reached(self, copy: Copy, fence: int) -> bool:
        """Whether all that is known of the copy's partition is as of the fence."""
        partition = self._partitions.get(copy.partition) if copy.partition is not None else None
        return partition is not None and partition.position >= fence

    def is_live(self, copy: Copy, now: float) -> bool:
        """Whether the copy's partition was heard of lately enough."""
        partition = self._partitions.get(copy.partition) if copy.partition is not None else None
        return partition is not None and now - partition.heard < self._max_staleness

    def last_known(self, key: ContextKey) -> Copy | None:
        """The last copy of a key, whether it may still be right or not."""
        copy = self._copies.get(key)
        return copy if copy and copy.message is not None else None

    def requests(self) -> list[Request]:
        """What the stream is to be asked now, in this order; nothing where there is none."""
        if not self._is_connected:
            return []
        taken, self._requests = self._requests, []
        return taken

    def connected(self) -> None:
        """A stream has begun. Each key is asked for again, the last used first."""
        self._is_connected = True
        self._requests = []
        for copy in reversed(self._copies.values()):
            self._ask(copy)

    def disconnected(self) -> None:
        """The stream has ended: nothing that it has answered counts any more (N4)."""
        self._is_connected = False
        self._requests = []
        for copy in self._copies.values():
            copy.is_answered = False
        for partition in self._partitions.values():
            partition.heard = float("-inf")

    def received(self, message: WatchResponse, now: float) -> None:
        """Apply what the stream says."""
        match message.WhichOneof("event"):
            case "entry":
                self._take(message.entry, now)
            case "invalidated":
                self._invalidate(message.invalidated)
            case "progress":
                self._advance(message.progress, now)
            case "reset":
                self._reset(message.reset)
            case _:
                pass  # of a newer contract

    def _take(self, entry: EntryMessage, now: float) -> None:
        copy = self._copies.get(ContextKey.from_message(entry.key))
        if copy is None:
            return  # dropped meanwhile
        copy.partition = entry.partition
        copy.is_answered = True
        known = copy.version or 0
        if entry.version < known or entry.version <= copy.floor:
            return
        if entry.HasField("ttl"):
            copy.lifetime = entry.ttl.ToTimedelta().total_seconds()
            copy.deadline = now + copy.lifetime
        if entry.HasField("context"):
            self._store(copy, entry.version, entry)
        elif entry.version != known:
            self._store(copy, None, None)  # it answers for another copy than this one
        self._evict()

    def _invalidate(self, invalidated: Invalidated) -> None:
        revision = invalidated.revision
        if invalidated.WhichOneof("target") == "key":
            copy = self._copies.get(ContextKey.from_message(invalidated.key))
            if copy is not None:
                copy.partition = invalidated.partition
                copy.is_answered = True
                self._outdate(copy, revision, is_absent=not invalidated.is_changed)
            return
        tenant = invalidated.tenant
        for copy in self._copies.values():
            if copy.key.tenant_id == tenant.tenant_id and tenant.scope in ("", copy.key.scope):
                self._outdate(copy, revision, is_absent=True)

    def _outdate(self, copy: Copy, revision: int, *, is_absent: bool) -> None:
        copy.floor = max(copy.floor, revision)
        if (copy.version or 0) <= revision:
            self._store(copy, ABSENT if is_absent else None, None)

    def _advance(self, progress: Progress, now: float) -> None:
        for position in progress.positions:
            partition = self._partitions.setdefault(position.partition, _Partition())
            partition.position = max(partition.position, position.revision)
            partition.heard = now

    def _reset(self, reset: Reset) -> None:
        self._partitions[reset.partition] = _Partition()
        for copy in self._copies.values():
            if copy.partition == reset.partition:
                # Of another order, versions cannot be compared: different is all that counts.
                copy.floor = 0
                copy.is_answered = False
                self._ask(copy)

    def _store(self, copy: Copy, version: int | None, message: EntryMessage | None) -> None:
        if version == copy.version and message is not None and copy.message is not None:
            return  # the same again: what was made of it stays
        self._bytes -= copy.size
        copy.version, copy.message, copy.value = version, message, None
        copy.size = message.ByteSize() if message else 0
        self._bytes += copy.size

    def _is_as_of(self, copy: Copy, fence: int) -> bool:
        if self.is_reached(copy, fence):
            return True
        message = copy.message
        return (
            message is not None
            and message.version >= fence
            and not message.context.includes
        )

    def _ask(self, copy: Copy) -> None:
        position = 0
        if copy.partition is not None and copy.partition in self._partitions:
            position = self._partitions[copy.partition].position
        self._requests.append(Subscribe(copy.key, copy.version or 0, position))

    def _verify(self, copy: Copy) -> None:
        if copy.is_answered:
            copy.is_answered = False
            self._ask(copy)

    def _keep_alive(self, copy: Copy, now: float) -> None:
        """Touch an entry that is in use, once in each half of its time."""
        if copy.deadline - now < copy.lifetime / 2 and now - copy.touched > copy.lifetime / 2:
            copy.touched = now
            self._requests.append(Touch(copy.key))
            # The answer says how long it lives now; until then the copy may be used.
            self._ask(copy)

    def _evict(self) -> None:
        while len(self._copies) > self._max_entries or self._bytes > self._max_bytes:
            key, copy = self._copies.popitem(last=False)
            self._bytes -= copy.size
            self._requests.append(Unsubscribe(key))
