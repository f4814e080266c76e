"""The signs of life of one Watch stream: when to ask for them, and when they have ceased.

No I/O and no clock. Servers give them in one of two ways:

- By themselves, once in `sign_interval`, each as of a moment of the server's clock. A ping is
  needed only to map that clock (`clock`), which it does for half a minute. If nobody reads the
  copies, the server is asked to pause; the next lookup asks it to go on.
- Older servers answer pings: each ping is one sign, as of its sending.
"""

from typing import NamedTuple

from relevo.v1.store_pb2 import Ping, Position
from relevo.v1.store_pb2 import ServerClock as ClockMessage

from relevo_client._near_cache.clock import LONG_AGO, ServerClock
from relevo_client._near_cache.options import CacheOptions

RENEWAL = 30.0
"""Seconds after which the server's clock is mapped anew."""


class Pace(NamedTuple):
    """The difference between streams, so that clients which came at once drift apart."""

    pings: float = 1.0
    """A factor of the time between pings."""
    patience: float = 0.0
    """Seconds for which the first sign is waited for, `max_staleness` if that is more: a server
    that many clients come to at once needs time for all of them."""


EVEN = Pace()


class Signs:
    """The signs of life of one stream. Times are in seconds.

    Args:
        options: how long a sign proves something, and after which time none is needed.
        clock: the map of the server's clock, which is still empty.
        opened: the time at which the stream was opened.
        pace: how often it pings, and how long its first sign is waited for.

    """

    def __init__(
        self,
        options: CacheOptions,
        clock: ServerClock,
        *,
        opened: float = LONG_AGO,
        pace: Pace = EVEN,
    ) -> None:
        self.is_given = False
        """Whether the server gives signs by itself."""
        self.is_paused = False
        """Whether it was asked not to."""
        self._options = options
        self._renewal = RENEWAL * pace.pings
        self._patience = max(pace.patience, options.max_staleness)
        self._clock = clock
        self._pings: dict[int, float] = {}  # the sendings of recent pings, by number
        self._pinged = LONG_AGO
        self._answered = 0  # the number of the last ping that has mapped the clock
        self._mapped_again = LONG_AGO  # when a coarse map may be made again
        self._map_pause = 0.0  # before that, after the next coarse one
        self._heard = opened
        self._has_heard = self._is_answered = False

    @property
    def has_pinged(self) -> bool:
        """Whether there was a ping."""
        return self._pinged != LONG_AGO

    def ping(self, number: int, now: float) -> Ping:
        """Record that a ping with this number is sent, and return it."""
        if not self.is_given:
            keep = now - self._options.max_staleness
            self._pings = {each: sent for each, sent in self._pings.items() if sent > keep}
        self._pings[number] = self._pinged = now
        ping = Ping(number=number)
        interval = 0.0 if self.is_paused else self._options.sign_interval
        ping.sign_interval.FromNanoseconds(round(interval * 1e9))
        return ping

    def is_ping_due(self, now: float, *, is_waiting: bool) -> bool:
        """Whether a ping is to be sent now; `is_waiting`: whether a Subscribe has no answer yet.

        An answer that does not come may wait in the server, or be lost: a ping tells which. A
        stream that has no answer yet sends no second ping: a server that is busy with many new
        streams would have to read all of them.
        """
        if not self.is_given:
            return self._is_answered or not self._pings
        if self.is_paused or self._outstanding():
            return False
        ago = now - self._pinged
        is_coarse = self._is_coarse() and now >= self._mapped_again
        is_lost = is_waiting and ago >= self._options.max_staleness / 2
        return ago >= self._renewal or is_coarse or is_lost

    def may_seek(self, now: float) -> bool:
        """Whether a ping may get a later position now: a lookup needs one."""
        is_rested = now - self._pinged >= self._options.ping_interval
        return self.is_given and is_rested and not self._outstanding()

    def pause(self) -> None:
        """Need no signs from the next ping on."""
        self.is_paused = True

    def resume(self, now: float) -> None:
        """Need signs again from the next ping on."""
        self.is_paused, self._heard = False, now

    def learn(self, message: ClockMessage, now: float) -> None:
        """Map the server's clock by its answer to a ping."""
        self.is_given = True
        sent = self._pings.get(message.ping)
        if sent is not None:
            self._answered = message.ping
            self._clock.learn(sent, message.time, now)
            self._pings = self._outstanding()
            self._mapped_again = now + self._map_pause
            longer = min(max(2 * self._map_pause, 2 * self._options.ping_interval), RENEWAL)
            self._map_pause = longer if self._is_coarse() else 0.0

    def as_of(self, position: Position, now: float) -> float:
        """The time as of which, or later, what the stream has said of a partition is true."""
        pinged = self._pings.get(position.ping, LONG_AGO)
        return max(pinged, self._clock.earliest(position.time, now))

    def hear(self) -> None:
        """Record that something new is proven, or that a request is answered."""
        self._has_heard = self._is_answered = True

    def are_missing(self, now: float, *, is_asked: bool) -> bool:
        """Whether there was no sign for `max_staleness`. Call it regularly.

        Other messages do not count: requests may be lost on their way, or the store be away. If
        `is_asked` is False, no sign is expected. The first sign may take as long as `Pace` says.
        """
        if self._has_heard or not is_asked or self.is_paused:
            self._heard, self._has_heard = now, False
        limit = self._options.max_staleness if self._is_answered else self._patience
        unanswered = self._outstanding() if self.is_given else {}
        return now - min(self._heard, *unanswered.values(), now) > limit

    def _is_coarse(self) -> bool:
        """Whether signs may seem much older than they are, or there is no map."""
        return self._clock.uncertainty > self._options.ping_interval

    def _outstanding(self) -> dict[int, float]:
        """The pings that have not mapped the clock, and are later than the one that did."""
        return {each: sent for each, sent in self._pings.items() if each > self._answered}
