"""The open Watch stream of a near cache: its requests and their numbers, and its pings.

No I/O and no clock: times are seconds of a clock that never goes back, as in `machine`.
"""

from collections import deque
from dataclasses import dataclass, field

from relevo.v1.store_pb2 import (
    ClientInfo,
    RequestBatch,
    Subscribe,
    Touch,
    Unsubscribe,
    WatchRequest,
)

from relevo_client._context.keys import ContextKey
from relevo_client._near_cache.clock import LONG_AGO
from relevo_client._near_cache.reports import REPORT_INTERVAL, Reporter, report_of
from relevo_client._near_cache.signs import Signs


@dataclass
class Stream:
    """The open Watch stream, or none, with the requests that wait to be sent on it."""

    signs: Signs
    """Its signs of life."""
    opened: float | None = None
    """The time at which the stream was opened, None if none is open."""
    number: int = 0
    """The number of the last Subscribe or Ping, on this or an earlier stream."""
    answered: int = 0
    """The number of the newest Subscribe or Ping that the stream has answered."""
    subscribed: int = 0
    """The number of the last Subscribe."""
    client: ClientInfo | None = None
    """The client's identity, sent with the stream's first request, which is a ping."""
    reported: float = LONG_AGO
    """The time of the last ping that had a report."""
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
        self.subscribed = self.number
        return self.number

    def unsubscribe(self, key: ContextKey) -> None:
        """Queue an Unsubscribe for a key, if a stream is open."""
        if self.opened is not None:
            self.requests.append(WatchRequest(unsubscribe=Unsubscribe(key=key.to_message())))

    def touch(self, key: ContextKey) -> None:
        """Queue a Touch, which prolongs the life of an entry."""
        self.requests.append(WatchRequest(touch=Touch(key=key.to_message())))

    def ping(self, now: float, *, reporter: Reporter) -> None:
        """Queue a Ping, if a stream is open, with the reporter's report if one is due."""
        if self.opened is not None:
            self.number += 1
            is_first = not self.signs.has_pinged
            ping = WatchRequest(ping=self.signs.ping(self.number, now))
            if is_first:  # a stream begins with a ping
                ping.accepts_batches = True
                ping.MergeFrom(WatchRequest(client=self.client))
            if now - self.reported >= REPORT_INTERVAL:
                ping.report.CopyFrom(report_of(reporter, now))
                self.reported = now
            # Before thousands of Subscribes, which take longer to send than a proof may be old.
            self.requests.insert(self.pings_due, ping)
            self.pings_due += 1

    def record_answer(self, number: int) -> bool:
        """Record an answer to a request, by its number, 0 for none. Returns whether it is newer."""
        is_newer = number > self.answered
        if is_newer:
            self.answered = number
            self.signs.hear()
        return is_newer
