"""The state of a near cache: copies of entries, partitions, the open stream, own writes.

Times are seconds of a clock that never goes back, as in `machine`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from relevo.v1.context_pb2 import ContextEntry as EntryMessage
from relevo.v1.store_pb2 import Ping, Position, Subscribe, Touch, Unsubscribe, WatchRequest

from relevo_client._context.entry import ContextEntry
from relevo_client._context.keys import ContextKey

ABSENT = 0
"""The version of an entry that does not exist."""
LONG_AGO = float("-inf")
"""A time before all others."""
UNKNOWN = -1
"""The partition of a copy before the first answer."""


@dataclass(slots=True, eq=False)
class Copy:
    """The copy of one key's entry, or of its absence, and what the stream said about it."""

    key: ContextKey
    number: int = 0
    """The number of the last Subscribe for the key."""
    is_answered: bool = False
    """Whether the stream has answered a Subscribe since it began and since the last reset."""
    confirmed: int = 0
    """The revision up to which the store had `entry_version`, by the last stream that answered
    for any copy; 0 if that stream did not answer for this one."""
    partition: int = UNKNOWN
    version: int | None = None
    """The cached entry's version, ABSENT if there is none, None if unknown."""
    entry_version: int = ABSENT
    """The version of the last entry received; equals `version` unless that is None or ABSENT."""
    size: int = 0
    """The serialized size of the entry, in bytes."""
    serialized: bytes | None = None
    """The entry until its first use; a parsed message would be six times as large."""
    has_layers: bool = False
    """Whether the entry includes others."""
    deadline: float = LONG_AGO
    """The time at which the entry expires."""
    lifetime: float = 0.0
    """The seconds that the entry had left to live in the last message about it."""
    full_lifetime: float = 0.0
    """The seconds that the entry had to live when it was written."""
    touched: float = LONG_AGO
    """The time of the last Touch."""
    ageing_reported: float = LONG_AGO
    """The time at which the entry was last reported as ageing."""
    entry: ContextEntry | None = None
    """The entry decoded from `serialized`, from its first use on."""
    composed: ContextEntry | None = None
    """The last composition with the layers that existed as a whole; its entry may be of an
    earlier version."""
    versions: tuple[int, ...] = ()
    """The versions in `composed`: the entry's, then those of its layers in order."""

    def hold(self, message: EntryMessage | None) -> int:
        """Replace the entry, or drop it for None. Returns the growth in bytes, negative if less."""
        serialized = message.SerializeToString() if message else b""
        more = len(serialized) - self.size
        self.size, self.serialized, self.entry = len(serialized), serialized, None
        self.entry_version, self.confirmed = message.version if message else ABSENT, 0
        self.has_layers = bool(message and message.context.includes)
        if not self.has_layers:
            self.composed, self.versions = None, ()
        return more


@dataclass(slots=True)
class Partition:
    """The position of a partition, and the age of its proof."""

    position: int = 0
    """The revision up to which all events are applied, by any stream so far."""
    stream_position: int = 0
    """The same by the open stream alone, whose server may know another order of events."""
    as_of: float = LONG_AGO
    """The time as of which, or later, the stream's messages about the partition are true."""


class Partitions(dict[int, Partition]):
    """The partitions by their numbers, and what their positions say about copies."""

    def of(self, copy: Copy) -> Partition | None:
        """The partition of a copy, or None if no position of it has arrived yet."""
        return self.get(copy.partition)

    def position(self, copy: Copy) -> int:
        """The position of a copy's partition, 0 if unknown."""
        partition = self.of(copy)
        return partition.position if partition else 0

    def as_of(self, copy: Copy) -> float:
        """The time as of which, or later, the messages about a copy's partition are true."""
        partition = self.of(copy)
        return partition.as_of if partition else LONG_AGO

    def advance(self, positions: Iterable[Position], pings: Mapping[int, float]) -> None:
        """Apply positions from the stream; `pings` are the times at which pings were sent."""
        for position in positions:
            partition = self.setdefault(position.partition, Partition())
            partition.position = max(partition.position, position.revision)
            partition.stream_position = max(partition.stream_position, position.revision)
            partition.as_of = max(partition.as_of, pings.get(position.ping, LONG_AGO))

    def stream_ended(self) -> None:
        """Forget what the ended stream alone has proven. The next one resumes from `position`."""
        for partition in self.values():
            partition.stream_position, partition.as_of = 0, LONG_AGO

    def is_whole(self, copies: Sequence[Copy]) -> bool:
        """Whether there is a revision as of which the store had all of these copies (N9).

        The store had each of them from its own version on, up to the position of its stream. The
        server reads a value after the event that announces it, so a copy can be ahead of the
        position; then there is no such revision.
        """
        answered = {copy.is_answered for copy in copies}
        if len(answered) > 1:  # two streams may have different orders of revisions
            return False
        return max(copy.entry_version for copy in copies) <= min(map(self.confirmed, copies))

    def confirmed(self, copy: Copy) -> int:
        """The revision up to which the store is known to have had a copy's entry."""
        if copy.is_answered and copy.version == copy.entry_version:
            partition = self.of(copy)
            return partition.stream_position if partition else 0
        return copy.confirmed


@dataclass
class Stream:
    """The open Watch stream, or none, with the requests that wait to be sent on it."""

    opened: float | None = None
    """The time at which the stream was opened, None if none is open."""
    number: int = 0
    """The number of the last Subscribe or Ping, on this or an earlier stream."""
    heard: float = LONG_AGO
    """The time at which the stream was last known to answer."""
    answered: int = 0
    """The number of the newest Subscribe or Ping that the stream has answered."""
    has_answered: bool = False
    """Whether the stream has answered a newer request since `heard`."""
    pings: dict[int, float] = field(default_factory=dict[int, float])
    """The times at which recent pings were sent, by their numbers."""
    requests: list[WatchRequest] = field(default_factory=list[WatchRequest])
    """The requests that wait to be sent."""

    def pop_requests(self) -> list[WatchRequest]:
        """Remove and return the requests that wait to be sent."""
        taken, self.requests = self.requests, []
        return taken

    def subscribe(self, key: ContextKey, known_version: int, position: int) -> int:
        """Queue a Subscribe for a key. Returns its number."""
        self.number += 1
        subscribe = Subscribe(
            key=key.to_message(),
            known_version=known_version,
            position=position,
            number=self.number,
        )
        self.requests.append(WatchRequest(subscribe=subscribe))
        return self.number

    def unsubscribe(self, key: ContextKey) -> None:
        """Queue an Unsubscribe for a key, if a stream is open."""
        if self.opened is not None:
            self.requests.append(WatchRequest(unsubscribe=Unsubscribe(key=key.to_message())))

    def touch(self, key: ContextKey) -> None:
        """Queue a Touch, which prolongs the life of an entry."""
        self.requests.append(WatchRequest(touch=Touch(key=key.to_message())))

    def ping(self, now: float, *, keep: float) -> None:
        """Queue a Ping, if a stream is open. Forgets pings that are older than `keep` seconds."""
        if self.opened is not None:
            self.number += 1
            recent = {n: at for n, at in self.pings.items() if now - at < keep}
            ping = WatchRequest(ping=Ping(number=self.number))
            ping.accepts_batches = not self.pings  # a stream begins with a ping
            self.pings = {**recent, self.number: now}
            self.requests.append(ping)

    def record_answer(self, number: int) -> bool:
        """Record an answer to a request, by its number, 0 for none. Returns whether it is newer."""
        is_newer = number > self.answered
        if is_newer:
            self.answered, self.has_answered = number, True
        return is_newer

    def silence(self, now: float, *, is_asked: bool) -> float:
        """The seconds since the last new answer; 0 if no answer is expected (`is_asked` False)."""
        if self.has_answered or not is_asked:
            self.heard, self.has_answered = now, False
        return now - self.heard


class OwnWrites:
    """The last revision that this process has written for each tenant, until copies reach it.

    Each is kept for `keep` seconds at most: copies that are usable later were confirmed after it.
    """

    def __init__(self, keep: float) -> None:
        self._keep = keep
        # Revisions with their times, the oldest first.
        self._last: dict[str, tuple[int, float]] = {}

    def __len__(self) -> int:
        return len(self._last)

    def __contains__(self, tenant_id: str) -> bool:
        return tenant_id in self._last

    def add(self, tenant_id: str, revision: int, now: float) -> None:
        """Record an acknowledged write."""
        earlier, _ = self._last.pop(tenant_id, (0, now))
        self._last[tenant_id] = max(revision, earlier), now
        while now - next(iter(self._last.values()))[1] >= self._keep:
            del self._last[next(iter(self._last))]

    def discard(self, tenant_id: str) -> None:
        """Forget the tenant's write."""
        self._last.pop(tenant_id, None)

    def fence(self, tenant_id: str, position: int, now: float) -> int:
        """The fence for the tenant's copies if their partition is at `position`; 0 for none."""
        written, at = self._last.get(tenant_id, (0, now))
        if written <= position or now - at >= self._keep:
            self.discard(tenant_id)
            return 0
        return written


def seconds_from_write_to_end(entry: EntryMessage) -> float:
    """The time to live of an entry from its last write, in seconds.

    The time of the write is in its version, whose upper bits are milliseconds.
    """
    return entry.expire_time.ToMilliseconds() / 1000 - (entry.version >> 20) / 1000
