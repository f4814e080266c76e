"""The signs of life of a server's Watch streams.

Without an event, a client has to hear as of when its copies are current. Streams of older clients
ping for each sign, which the partitions' followers answer; here they are told how far these have
come. All others get a sign in the interval that they have asked for: the positions of their
partitions, with the times of the polls of the log. That message is the same for every stream with
the same partitions. One timer serves all streams.
"""

from collections.abc import Iterator

from relevo_server.event_log.clock import server_time
from relevo_server.event_log.follower import Follower
from relevo_server.event_log.followers import Followers
from relevo_server.event_log.outbox import Outbox
from relevo_server.service.wheel import Wheel
from relevo_server.settings import Settings
from relevo_server.wire.pushes import Place

_MOST = 8
"""Signs within `watch_heartbeat` that a client may have. More would say the same: they are as of
the last poll of the log."""
_LONGEST = 60.0
"""The longest interval between two signs, in seconds."""


class Signs:
    """The signs of life of all streams, by their outboxes."""

    def __init__(self, followers: Followers, settings: Settings) -> None:
        self._followers = followers
        self._heartbeat = settings.watch_heartbeat
        self._wheel = Wheel(self._give)

    def open(self, outbox: Outbox) -> None:
        """Begin a stream. It pings until `request` is called. Must be paired with `close`."""
        self._wheel.set(outbox, self._heartbeat / 2)

    def close(self, outbox: Outbox) -> None:
        """End a stream."""
        self._wheel.remove(outbox)

    def request(self, outbox: Outbox, ping: int, interval: float) -> None:
        """Answer a ping that has just arrived, and give signs in this interval; 0 for none."""
        now = server_time()
        # One that asks again and again has its polls when they are due, like all others.
        is_rested = not outbox.pinged or now - outbox.pinged > self._heartbeat * 1e6
        at_once = is_rested and not outbox.sign_interval
        outbox.pong(ping, now)
        if outbox.sign_interval != interval:
            outbox.sign_interval = interval
            if interval > 0:
                shortest = self._heartbeat / _MOST
                self._wheel.set(outbox, min(max(interval, shortest), _LONGEST))
            else:
                self._wheel.remove(outbox)
        if interval > 0:
            for follower in self._followers_of(outbox):
                follower.expect(outbox, at_once=at_once)
            self._give(outbox)

    def _give(self, outbox: Outbox) -> None:
        places = self._positions(outbox)
        if outbox.has_signs:
            outbox.sign(places)
        else:
            outbox.advance(places)

    def _followers_of(self, outbox: Outbox) -> Iterator[Follower]:
        found = (self._followers.get(each) for each in outbox.partitions)
        return (each for each in found if each)

    def _positions(self, outbox: Outbox) -> Iterator[Place]:
        for follower in self._followers_of(outbox):
            yield follower.sign
        if outbox.declined and not outbox.partitions:
            # The stream lives. It says nothing of the partition, which the client may not know.
            yield Place(min(outbox.declined), 0, time=server_time())
