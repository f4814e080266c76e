"""The state of a near cache: copies of entries, the open stream, own writes.

Times are seconds of a clock that never goes back, as in `machine`.
"""

from collections import deque
from dataclasses import dataclass, field

from relevo.v1.context_pb2 import ContextEntry as EntryMessage
from relevo.v1.store_pb2 import (
    ClientInfo,
    Ping,
    RequestBatch,
    Subscribe,
    Touch,
    Unsubscribe,
    WatchRequest,
)

from relevo_client._context.entry import ContextEntry
from relevo_client._context.hiding import hides
from relevo_client._context.keys import ContextKey
from relevo_client._near_cache.reports import REPORT_INTERVAL, Reporter, report_of

ABSENT = 0
"""The version of an entry that does not exist."""
LONG_AGO = float("-inf")
"""A time before all others."""
UNKNOWN = -1
"""The partition of a copy before the first answer."""


@hides("serialized")
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

    def prolong(self, message: EntryMessage, *, sent: float) -> None:
        """Take over the time to live of an entry, from a message that was sent at this time."""
        self.lifetime = message.ttl.ToTimedelta().total_seconds()
        self.deadline = sent + self.lifetime
        self.full_lifetime = max(self.lifetime, seconds_from_write_to_end(message))


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
    client: ClientInfo | None = None
    """Who the client is: sent with the stream's first request, which is a ping."""
    reported: float = LONG_AGO
    """The time of the last ping that had a report."""
    pings: dict[int, float] = field(default_factory=dict[int, float])
    """The times at which recent pings were sent, by their numbers."""
    requests: deque[WatchRequest] = field(default_factory=deque[WatchRequest])
    """The requests that wait to be sent: pings in front."""
    pings_due: int = 0
    """The number of pings among them."""
    accepts_batches: bool = False
    """Whether the server has said that it accepts several requests in one."""

    @property
    def is_live(self) -> bool:
        """Whether the stream is open, and the store has answered it."""
        return self.opened is not None and self.answered > 0

    def pop_requests(self, limit: int) -> list[WatchRequest]:
        """Remove and return the first requests that wait, as one if the server accepts batches."""
        taken = [self.requests.popleft() for _ in range(min(limit, len(self.requests)))]
        self.pings_due = max(0, self.pings_due - len(taken))
        if self.accepts_batches and len(taken) > 1:
            return [WatchRequest(batch=RequestBatch(requests=taken))]
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

    def ping(self, now: float, *, keep: float, reporter: Reporter) -> None:
        """Queue a Ping, if a stream is open, with the reporter's report if one is due.

        Forgets pings that are older than `keep` seconds.
        """
        if self.opened is not None:
            self.number += 1
            recent = {n: at for n, at in self.pings.items() if now - at < keep}
            ping = WatchRequest(ping=Ping(number=self.number))
            if not self.pings:  # a stream begins with a ping
                ping.accepts_batches = True
                ping.MergeFrom(WatchRequest(client=self.client))
            if now - self.reported >= REPORT_INTERVAL:
                ping.report.CopyFrom(report_of(reporter, now))
                self.reported = now
            self.pings = {**recent, self.number: now}
            # Before thousands of Subscribes, which take longer to send than a proof may be old.
            self.requests.insert(self.pings_due, ping)
            self.pings_due += 1

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
