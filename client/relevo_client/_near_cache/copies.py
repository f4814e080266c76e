"""The copies of a near cache within their bounds, and their subscriptions on the open stream.

- N6. The number and the bytes of entries are bounded; the least recently used are evicted.

No I/O and no clock, as in `machine`, which has the rules by which copies are used.
"""

from collections import OrderedDict
from collections.abc import Callable

from relevo.v1.context_pb2 import ContextEntry as EntryMessage

from relevo_client._context.keys import ContextKey
from relevo_client._near_cache.clock import ServerClock
from relevo_client._near_cache.options import CacheOptions
from relevo_client._near_cache.partitions import Partitions
from relevo_client._near_cache.signs import Signs
from relevo_client._near_cache.state import Copy
from relevo_client._near_cache.stream import Stream
from relevo_client._telemetry.counts import CacheCounts, CacheFigures


class Copies:
    """The copies of one client, and its stream. Not thread-safe."""

    make_clock: Callable[[], ServerClock] = ServerClock
    """Makes the map of a server's clock for each stream."""

    def __init__(self, options: CacheOptions) -> None:
        self._options = options
        self._copies: OrderedDict[ContextKey, Copy] = OrderedDict()  # least recently used first
        self._bytes: int = 0
        self._partitions = Partitions()
        self._stream = Stream(Signs(options, self.make_clock()))
        self.counts = CacheCounts()

    @property
    def is_live(self) -> bool:
        """Whether a stream is open, and the store has answered it."""
        return self._stream.is_live

    def figures(self, now: float) -> CacheFigures:
        """The present state, for telemetry. May be called in another thread than the rest."""
        is_paused = self._stream.signs.is_paused
        staleness = None if is_paused else self._partitions.staleness(now)
        return CacheFigures(len(self._copies), self._bytes, staleness, self.is_live)

    def age(self, key: ContextKey, now: float) -> float | None:
        """The seconds since the copy of a key was last proven current; None if never."""
        return self._partitions.age(self._copies.get(key), now)

    def _add(self, key: ContextKey) -> Copy:
        copy = self._copies[key] = Copy(key)
        self._subscribe(copy)
        return copy

    def _subscribe(self, copy: Copy) -> None:
        if self._stream.opened is None:
            return  # `opened` will subscribe to it
        position = self._partitions.position(copy)
        copy.number = self._stream.subscribe(copy.key, copy.entry_version, position)

    def _distrust(self, copy: Copy) -> None:
        """Do not use a copy until the stream has answered for it again."""
        copy.confirmed = self._partitions.confirmed(copy)
        copy.is_answered = False

    def _replace(self, copy: Copy, message: EntryMessage | None) -> None:
        if message and message.version == copy.entry_version:
            return  # the same entry: its decoded and composed forms stay valid
        self._bytes += copy.hold(message)

    def _evict(self) -> None:
        options = self._options
        while len(self._copies) > options.max_entries or self._bytes > options.max_bytes:
            key, copy = self._copies.popitem(last=False)
            self._replace(copy, None)
            self._partitions.release(copy)
            self.counts.evictions += 1
            self._stream.unsubscribe(key)
