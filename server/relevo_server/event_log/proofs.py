"""The proofs for streams that they have heard everything of one partition up to a time (N2).

No I/O and no clock. A poll that has reached the log's end, and whose events are published, proves
it as of the poll's start. There are two ways to tell a stream:

- It has signs of life: the partition's position with the time of the last such poll, which is the
  same message for all streams. Polls look only at those that wait for their first one, or have just
  pinged: to them only what is true since then is a sign.
- It pings: each poll answers the pings that had arrived before it, and reports the position.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from relevo_server.event_log.outbox import Outbox
from relevo_server.wire.pushes import Place


class LogPoll(NamedTuple):
    """The state of a fan-out at the start of a poll of the log."""

    position: int | None
    """The revision after which to poll; None for the first poll."""
    seen: Sequence[int]
    """Revisions of published values that the log has not shown yet."""
    pings: Mapping[Outbox, int]
    """The last ping that had arrived on each stream without signs of life and is not answered."""
    time: int = 0
    """The server's time at the start, 0 if unknown."""


class Proofs:
    """The proofs of one partition, and the streams that get them."""

    def __init__(self, partition: int) -> None:
        self._partition = partition
        self._time = 0
        # The ping of each stream that was answered last, and the resets of the stream before that:
        # an answer that still waits is lost by a reset. Polls pass over streams that owe nothing.
        self._pinging: dict[Outbox, tuple[int, int]] = {}
        # A dictionary without values: a set that keeps its order.
        self._unconfirmed: dict[Outbox, None] = {}
        self._sign = Place(partition, 0)

    @property
    def has_unconfirmed(self) -> bool:
        """Whether a new stream still waits for its first proof."""
        return bool(self._unconfirmed)

    def join(self, outbox: Outbox) -> None:
        """Add a stream."""
        if not outbox.has_signs:
            self._pinging[outbox] = 0, 0
        self.expect(outbox)

    def expect(self, outbox: Outbox) -> None:
        """Report the next proof to a stream at once, unless it has one that suffices."""
        if not outbox.has_signs or self._time < outbox.pinged:
            self._unconfirmed[outbox] = None

    def leave(self, outbox: Outbox) -> None:
        """Remove a stream, if it is there."""
        self._pinging.pop(outbox, None)
        self._unconfirmed.pop(outbox, None)

    def pings(self) -> dict[Outbox, int]:
        """The last ping that has arrived on each stream that pings, if it is not answered."""
        return {
            outbox: outbox.ping
            for outbox, answered in self._pinging.items()
            if outbox.ping and answered != (outbox.ping, outbox.partition_resets)
        }

    def prove(self, time: int) -> None:
        """Record that all events before a poll at this time of the server are published."""
        self._time = max(self._time, time)

    def sign(self, position: int) -> Place:
        """The sign of life of a partition that has this position."""
        if (self._sign.revision, self._sign.time) != (position, self._time):
            self._sign = Place(self._partition, position, time=self._time)
        return self._sign

    def report(
        self, outbox: Outbox, position: int, ping: int = 0, proven: int = 0, *, soon: bool
    ) -> None:
        """Report the partition's position to a stream, and answer its ping if that is not 0.

        `proven` is the time of a poll that is a proof for this stream already.
        """
        time = max(self._time, proven) if outbox.has_signs else 0
        if ping and outbox in self._pinging and outbox not in self._unconfirmed:
            self._pinging[outbox] = ping, outbox.partition_resets
        outbox.progress(self._partition, position, ping, time, soon=soon)

    def report_poll(self, position: int, pings: Mapping[Outbox, int]) -> None:
        """Report the position after a poll without events."""
        for outbox, ping in pings.items():
            if outbox not in self._pinging:
                continue  # it has left meanwhile
            # A client cannot use its cached entries before its first proof.
            soon = outbox in self._unconfirmed
            if soon:
                del self._unconfirmed[outbox]
            self.report(outbox, position, ping, soon=soon)
        self.report_first(position)

    def report_first(self, position: int) -> None:
        """Report the last proof to streams that wait for one since their ping."""
        waiting = [each for each in self._unconfirmed if each.has_signs]
        for outbox in waiting:
            if self._time >= outbox.pinged:
                del self._unconfirmed[outbox]
                self.report(outbox, position, soon=True)
