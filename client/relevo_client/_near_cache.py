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
        self._asked: dict[ContextKey, None] = {}  # to be subscribed, in this order
        self._requests: list[Request] = []

    def lookup(self, key: ContextKey, fence: int, now: float) -> Copy | None:
        """The copy of a key, where it may be used for a call with this fence (N1, N2, N7).

        None where the store has to be asked. The key is in use from now on.
        """
        copy = self._copies.get(key)
        if copy is None:
            copy = self._copies[key] = Copy(key)
            self._subscribe(copy)
            self._evict()
            return None
        self._copies.move_to_end(key)
        if not copy.is_answered:
            self._asked.setdefault(key)
            return None
        if copy.version is None or not self._is_live(copy.partition, now):
            return None
        if copy.version != ABSENT and copy.deadline <= now:
            self._subscribe(copy)  # the store may have let it live on
            return None
        self._keep_alive(copy, now)
        return copy if self.is_as_of(copy, fence) else None
