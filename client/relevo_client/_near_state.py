"""What a near cache knows: copies, partitions, the stream that is open, and counts."""

from dataclasses import dataclass, field

from relevo.v1.context_pb2 import ContextEntry as EntryMessage
from relevo.v1.store_pb2 import Ping, WatchRequest

from relevo_client._context.entry import ContextEntry
from relevo_client._keys import ContextKey

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
    held: int = ABSENT
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
    whole: float = 0.0
    """Seconds that it had to live when it was written."""
    touched: float = LONG_AGO
    renewed: float = LONG_AGO
    """When it was last said to be ageing."""
    entry: ContextEntry | None = None
    """That entry, made of `serialized` when it was first needed."""
    composed: ContextEntry | None = None
    """The last composition with its layers that existed as a whole; it may be of an earlier
    version."""
    versions: tuple[int, ...] = ()
    """What that was composed from: the versions of the entry and of its layers, in order."""


@dataclass(slots=True)
class Partition:
    position: int = 0
    """Everything up to this revision is applied, by all streams together."""
    told: int = 0
    """The same by the stream that is open, whose server may know another order of events."""
    as_of: float = LONG_AGO
    """All that was told of it is as of this time, or later."""


@dataclass
class CacheCounts:
    """What a cache has done so far."""

    hits: int = 0
    """Contexts that it had."""
    misses: int = 0
    """Contexts for which the store was asked."""
    pushes: int = 0
    """News that came by itself: new values of entries, and ends."""
    evictions: int = 0
    """Entries that were dropped for want of room."""


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

    def ping(self, now: float, *, keep: float) -> None:
        """Ask for a sign of life. Pings that are older than `keep` seconds prove nothing more."""
        if self.opened is not None:
            self.number += 1
            recent = {n: at for n, at in self.pings.items() if now - at < keep}
            self.pings = {**recent, self.number: now}
            self.requests.append(WatchRequest(ping=Ping(number=self.number)))

    def answers(self, number: int) -> bool:
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
