"""A server of the simulated world, and its Watch streams."""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from relevo.v1.store_pb2 import Ping, WatchRequest
from relevo_server.event_log.answers import Answers, Batch
from relevo_server.event_log.fanout import Fanout
from relevo_server.event_log.outbox import Outbox
from relevo_server.event_log.proofs import LogPoll
from relevo_server.event_log.subscriptions import SubscribeArgs
from relevo_server.storage.events import Tail
from relevo_server.storage.interface import Limits, Read
from relevo_server.wire.contexts import key_of
from relevo_server.wire.entries import Entries

from support.simulation.store import PARTITION, Store

_PUSHED = Limits(1 << 20, 1 << 20)


class Clock:
    """The clock of a server: it begins somewhere, and gains or loses a part of each second."""

    def __init__(self, random_: random.Random, time: Callable[[], float], drift: float) -> None:
        self._time = time
        self._rate = 1 + random_.choice([-drift, 0, drift, drift])
        self._begin = time() - random_.uniform(0, 5)

    def __call__(self) -> int:
        """The microseconds that it shows."""
        return round((self._time() - self._begin) * self._rate * 1e6) + 1

    def stand_still(self, seconds: float) -> None:
        """Miss the time that passes now, as its machine sleeps."""
        self._begin += seconds


@dataclass
class Stream:
    """A Watch call with its messages in flight, in their order."""

    server: "Server"
    outbox: Outbox
    up: deque[WatchRequest] = field(default_factory=deque[WatchRequest])
    down: deque[bytes] = field(default_factory=deque[bytes])
    is_silent: bool = False
    """Whether no message arrives any more, without an error on either side."""


class Server:
    """A server's part for one partition, whose reads of the store take time.

    One that does not `send_batches`, or has no clock for signs of life, is older than these.
    """

    def __init__(
        self,
        store: Store,
        make_fanout: Callable[..., Fanout] = Fanout,
        *,
        send_batches: bool = True,
        clock: Clock | None = None,
    ) -> None:
        self._store = store
        self._send_batches = send_batches
        self.clock = clock
        self.fanout = make_fanout(PARTITION, Entries(), max_push_bytes=1 << 20, streams_together=1)
        self._answers = Answers(self.fanout, asyncio.Event())
        self._follow: Callable[[], object] | None = None
        self._steps = deque[tuple[Batch, Read]]()
        self._confirm: Callable[[], object] | None = None

    def take(self, outbox: Outbox, request: WatchRequest) -> None:
        """Handle a client's request."""
        if request.accepts_batches and self._send_batches:
            outbox.accepts_batches = True
        match request.WhichOneof("request"):
            case "subscribe":
                subscribe = request.subscribe
                subscription = self.fanout.subscribe(outbox, key_of(subscribe.key))
                args = SubscribeArgs(subscribe.number, subscribe.known_version, subscribe.position)
                self.fanout.requests.add(subscription, args)
            case "unsubscribe":
                self.fanout.unsubscribe(outbox, key_of(request.unsubscribe.key))
            case "ping":
                self._ping(outbox, request.ping)
            case "batch":
                for each in request.batch.requests:
                    self.take(outbox, each)
            case _:
                pass

    def _ping(self, outbox: Outbox, ping: Ping) -> None:
        outbox.ping = max(outbox.ping, ping.number)
        if self.clock:
            outbox.sign_interval = ping.sign_interval.ToNanoseconds() / 1e9
            outbox.pong(ping.number, self.clock())
            self.fanout.expect(outbox)
            self.sign(outbox)

    def sign(self, outbox: Outbox) -> None:
        """Give a stream a sign of life, if it wants any."""
        if outbox.sign_interval and outbox.partitions:
            outbox.sign([self.fanout.sign])

    def follow(self) -> None:
        """One step of following the log: start a poll, or process its result."""
        step, self._follow = self._follow, None
        if step:
            step()
            return
        poll = self._begin_poll()
        tail = self._store.tail(poll.position, poll.seen)
        self._follow = lambda: self._publish(tail, poll)

    def answer(self) -> None:
        """One step of answering subscriptions."""
        if self._steps:
            self._answers.apply(*self._steps.popleft())
            self.fanout.report_first()
            return
        if self.fanout.position is None:
            return
        batch = self._answers.next(self.clock() if self.clock else 0)
        if batch:
            read = self._store.read_within(batch.keys, batch.limits, batch.poll.position)
            if read:
                self._steps.extend(self._answers.steps(batch, read, size=1))
            else:
                self._answers.give_up(batch)

    def confirm(self) -> None:
        """One poll of the log in addition to `follow`, as for new streams."""
        step, self._confirm = self._confirm, None
        if step:
            step()
        elif self.fanout.position is not None:
            poll = self._begin_poll()
            tail = self._store.tail(poll.position, poll.seen)
            if not tail.events and not tail.gap:
                self._confirm = lambda: self.fanout.confirm(poll)

    def _begin_poll(self) -> LogPoll:
        return self.fanout.begin_poll(self.clock() if self.clock else 0)

    def _publish(self, tail: Tail, poll: LogPoll) -> None:
        if self.fanout.position is None:
            self.fanout.position = tail.revision
        elif tail.gap:
            self.fanout.reset(tail.revision, tail.gap)
        elif tail.events:
            keys = self.fanout.keys_to_read(tail.events)
            read = self._store.read_within(keys, _PUSHED, tail.events[-1].revision)
            if read is None:
                return  # the next poll tells why
            values = dict(zip(keys, read.entries, strict=True))
            steps = self.fanout.publish(tail.events, values, [read.revision], poll)
            self._follow = lambda: self._step(steps)
        else:
            self.fanout.confirm(poll)

    def _step(self, steps: Iterator[None]) -> None:
        """Take one step of a publication. Anything may happen before the next one."""
        if next(steps, steps) is not steps:
            self._follow = lambda: self._step(steps)
