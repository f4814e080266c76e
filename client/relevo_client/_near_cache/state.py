"""What a near cache knows: copies, partitions, the stream that is open, and counts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from relevo.v1.context_pb2 import ContextEntry as EntryMessage
from relevo.v1.store_pb2 import Ping, Position, Subscribe, Touch, Unsubscribe, WatchRequest

from relevo_client._context.entry import ContextEntry
from relevo_client._context.keys import ContextKey

ABSENT = 0
"""The version of what is not there."""
LONG_AGO = float("-inf")
UNKNOWN = -1


@dataclass(slots=True, eq=False)
class Copy:
    """What is known of a key."""

    key: ContextKey
    number: int = 0
    """The last Subscribe for it."""
    is_answered: bool = False
    """Whether the stream has answered one since it began, and since the last reset."""
    confirmed: int = 0
    """The revision up to which `held` was what the store had, by the last stream that has
    answered for anything; 0 if that has not answered for this."""
    partition: int = UNKNOWN
    version: int | None = None
    """The cached entry's version, ABSENT if there is none, None if unknown."""
    entry_version: int = ABSENT
    """The version of the last entry that came; it is `version`, unless that is None or ABSENT."""
    size: int = 0
    """Its bytes, serialized."""
    serialized: bytes | None = None
    """That entry, until `entry` is made of it; a parsed message is six times as large."""
    has_layers: bool = False
    """Whether it includes others."""
    deadline: float = LONG_AGO
    """When its time to live is over."""
    lifetime: float = 0.0
    """Seconds that it had to live when that was last heard."""
    full_lifetime: float = 0.0
    """Seconds that it had to live when it was written."""
    touched: float = LONG_AGO
    ageing_reported: float = LONG_AGO
    """When it was last said to be ageing."""
    entry: ContextEntry | None = None
    """That entry, made of `serialized` when it was first needed."""
    composed: ContextEntry | None = None
    """The last composition with its layers that existed as a whole; it may be of an earlier
    version."""
    versions: tuple[int, ...] = ()
    """What that was composed from: the versions of the entry and of its layers, in order."""

    def hold(self, message: EntryMessage | None) -> int:
        """Hold another entry, None for none. By how many bytes that is larger."""
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
    position: int = 0
    """Everything up to this revision is applied, by all streams together."""
    stream_position: int = 0
    """The same by the stream that is open, whose server may know another order of events."""
    as_of: float = LONG_AGO
    """All that was told of it is as of this time, or later."""


class Partitions(dict[int, Partition]):
    """How far each partition has come, by its number, and what that says of copies."""

    def of(self, copy: Copy) -> Partition | None:
        """The partition of a copy; None if nothing was told of it yet."""
        return self.get(copy.partition)

    def position(self, copy: Copy) -> int:
        """The revision up to which everything is applied in the partition of a copy."""
        partition = self.of(copy)
        return partition.position if partition else 0

    def as_of(self, copy: Copy) -> float:
        """A time as of which all that was told of the partition of a copy is true, or later."""
        partition = self.of(copy)
        return partition.as_of if partition else LONG_AGO

    def advance(self, positions: Iterable[Position], pings: Mapping[int, float]) -> None:
        """Take in how far a stream has come; `pings` is when its pings were sent."""
        for position in positions:
            partition = self.setdefault(position.partition, Partition())
            partition.position = max(partition.position, position.revision)
            partition.stream_position = max(partition.stream_position, position.revision)
            partition.as_of = max(partition.as_of, pings.get(position.ping, LONG_AGO))

    def stream_ended(self) -> None:
        """The stream has ended. Positions stay: they are what the next one is held to."""
        for partition in self.values():
            partition.stream_position, partition.as_of = 0, LONG_AGO

    def is_whole(self, copies: Sequence[Copy]) -> bool:
        """Whether there is a revision as of which the store had all of these copies (N9).

        Each is what the store had from its own version on, up to the position that its stream
        has told. A value is read after the event that announces it, so a copy can be ahead of
        the position; then there is no such revision.
        """
        answered = {copy.is_answered for copy in copies}
        if len(answered) > 1:  # revisions of two streams may be of two orders
            return False
        return max(copy.entry_version for copy in copies) <= min(map(self.confirmed, copies))

    def confirmed(self, copy: Copy) -> int:
        """The revision up to which the entry of a copy is known to be what the store had."""
        if copy.is_answered and copy.version == copy.entry_version:
            partition = self.of(copy)
            return partition.stream_position if partition else 0
        return copy.confirmed


@dataclass
class Stream:
    """The stream that is open, or none, and what is to be asked on it."""

    opened: float | None = None
    number: int = 0
    """Of the last Subscribe or Ping, on this or an earlier stream."""
    heard: float = LONG_AGO
    """When it was last known to answer."""
    answered: int = 0
    """The newest Subscribe or Ping that it has answered."""
    has_answered: bool = False
    """Whether it has answered a newer one since `heard`."""
    pings: dict[int, float] = field(default_factory=dict[int, float])
    """When they were sent."""
    requests: list[WatchRequest] = field(default_factory=list[WatchRequest])

    def pop_requests(self) -> list[WatchRequest]:
        """What it is to be asked now."""
        taken, self.requests = self.requests, []
        return taken

    def subscribe(self, key: ContextKey, known_version: int, position: int) -> int:
        """Ask for a key: the number of the Subscribe."""
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
        """Ask for a key no more."""
        if self.opened is not None:
            self.requests.append(WatchRequest(unsubscribe=Unsubscribe(key=key.to_message())))

    def touch(self, key: ContextKey) -> None:
        """Keep an entry alive."""
        self.requests.append(WatchRequest(touch=Touch(key=key.to_message())))

    def ping(self, now: float, *, keep: float) -> None:
        """Ask for a sign of life. Pings that are older than `keep` seconds prove nothing more."""
        if self.opened is not None:
            self.number += 1
            recent = {n: at for n, at in self.pings.items() if now - at < keep}
            self.pings = {**recent, self.number: now}
            self.requests.append(WatchRequest(ping=Ping(number=self.number)))

    def record_answer(self, number: int) -> bool:
        """It has answered a Subscribe or Ping, 0 for none. Whether that is a newer one."""
        is_newer = number > self.answered
        if is_newer:
            self.answered, self.has_answered = number, True
        return is_newer

    def silence(self, now: float, *, is_asked: bool) -> float:
        """The seconds for which it has answered nothing new, though it is asked."""
        if self.has_answered or not is_asked:
            self.heard, self.has_answered = now, False
        return now - self.heard


class OwnWrites:
    """The last revision that this process has written for each tenant, until its copies know.

    Not for longer than `keep` seconds: what may be used then was confirmed after the write.
    """

    def __init__(self, keep: float) -> None:
        self._keep = keep
        self._last: dict[str, tuple[int, float]] = {}  # with when that was; the oldest first

    def __len__(self) -> int:
        return len(self._last)

    def __contains__(self, tenant_id: str) -> bool:
        return tenant_id in self._last

    def add(self, tenant_id: str, revision: int, now: float) -> None:
        """A write was acknowledged."""
        earlier, _ = self._last.pop(tenant_id, (0, now))
        self._last[tenant_id] = max(revision, earlier), now
        while now - next(iter(self._last.values()))[1] >= self._keep:
            del self._last[next(iter(self._last))]

    def discard(self, tenant_id: str) -> None:
        """Forget it."""
        self._last.pop(tenant_id, None)

    def fence(self, tenant_id: str, position: int, now: float) -> int:
        """What a copy must have reached, where its partition is at `position`; 0 for nothing."""
        written, at = self._last.get(tenant_id, (0, now))
        if written <= position or now - at >= self._keep:
            self.discard(tenant_id)
            return 0
        return written


def seconds_from_write_to_end(entry: EntryMessage) -> float:
    """How long an entry lives; its version tells when it was written."""
    return entry.expire_time.ToMilliseconds() / 1000 - (entry.version >> 20) / 1000
