"""One partition's log, followed for as long as anybody has use for it."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextvars import Context
from time import monotonic

from relevo_server.errors import StoreError
from relevo_server.event_log.answers import READ_BYTES, Answers, Batch
from relevo_server.event_log.copies import Copies
from relevo_server.event_log.fanout import Fanout, Look
from relevo_server.event_log.outbox import Outbox
from relevo_server.event_log.pace import Pace
from relevo_server.event_log.subscriptions import Asked
from relevo_server.keys import Key
from relevo_server.logs import LogThrottle, log, where
from relevo_server.revisions import to_log_id
from relevo_server.settings import Settings
from relevo_server.storage.interface import Event, Limits, Read, Storage, Stored, Tail
from relevo_server.wire.entries import Entries

_EVENTS = 500
"""Events that are looked at together."""
_TOLD = 16
"""Events that are told together: calls that are answered meanwhile do not wait for more."""
_MOMENT = 0.003
"""Seconds between a look at entries and a read of them, if few are asked for."""
_RETRY = 0.1
"""Seconds after which a store that could not be reached is asked again."""


class Follower:
    """Reads a log once, for all streams and for copies. Start it within a running loop."""

    def __init__(
        self,
        storage: Storage,
        partition: int,
        entries: Entries,
        copies: Copies,
        pace: Pace,
        settings: Settings,
    ) -> None:
        self.needed_until = 0.0
        """Until when the partition is followed for its copies, by the monotonic clock."""
        self._storage = storage
        self._copies = copies
        self._pace = pace
        self._fanout = Fanout(partition, entries, settings.watch_push_bytes)
        # The streams wait as long again before they pass a sign of life on, and copies are
        # trusted for several times as long.
        self._heartbeat = min(settings.watch_heartbeat / 2, settings.cache_max_staleness / 4)
        self._push_limits = Limits(settings.watch_push_bytes, READ_BYTES)
        self._foreign = LogThrottle()
        self._noticing: defaultdict[Key, set[asyncio.Event]] = defaultdict(set)
        self._wanted = asyncio.Event()
        self._answers = Answers(self._fanout, self._wanted)
        self._located = asyncio.Event()
        # In contexts of their own: no call's deadline is theirs.
        self._tasks = [
            asyncio.create_task(self._forever(self._follow), context=Context()),
            asyncio.create_task(self._forever(self._answer), context=Context()),
        ]

    @property
    def is_idle(self) -> bool:
        """Whether nobody is interested."""
        is_needed = self._noticing or monotonic() < self.needed_until
        return self._fanout.is_idle and not is_needed

    def subscribe(self, outbox: Outbox, key: Key, asked: Asked) -> None:
        """Tell a stream the value of a key, and then every change."""
        self._fanout.requests.add(self._fanout.subscribe(outbox, key), asked)
        self._wanted.set()

    def unsubscribe(self, outbox: Outbox, key: Key) -> None:
        """Tell a stream no more of a key, nor answer what it has asked for it."""
        self._fanout.unsubscribe(outbox, key)

    def drop(self, outbox: Outbox) -> None:
        """Forget a stream, and what it has asked for."""
        self._fanout.drop(outbox)

    async def notice(self, key: Key, changed: asyncio.Event) -> None:
        """Set an event whenever something may have happened to a key, a lease's end too.

        Nothing that happens after this has returned is missed.
        """
        self._noticing[key].add(changed)
        await self._located.wait()

    def ignore(self, key: Key, changed: asyncio.Event) -> None:
        """Set it no more."""
        self._noticing[key].discard(changed)
        if not self._noticing[key]:
            del self._noticing[key]

    def stop(self) -> None:
        """Follow no more. `close` has to follow."""
        for task in self._tasks:
            task.cancel()

    async def close(self) -> None:
        """Wait for its end."""
        self.stop()
        # Not by awaiting them: their end by cancellation is not to be taken for the caller's own.
        await asyncio.wait(self._tasks)

    async def _forever(self, step: Callable[[], Awaitable[None]]) -> None:
        failures = LogThrottle()
        while True:
            try:
                await step()
            except StoreError:
                # Nothing is told meanwhile, so the streams' clients stop trusting their copies.
                await asyncio.sleep(_RETRY)
            except Exception as error:  # noqa: BLE001 - a defect: logged, and tried again
                if failures.is_due(monotonic()):
                    log.error(
                        "watch.failed",
                        step=step.__name__, where=where(error), count=failures.count,
                    )  # fmt: skip
                await asyncio.sleep(_RETRY)

    async def _follow(self) -> None:
        fanout = self._fanout
        begun, look = monotonic(), fanout.look()
        tail = await self._look(look, _EVENTS)
        if look.position is None:
            fanout.position = tail.revision
            self._located.set()
        elif tail.gap:
            log.warning("watch.reset", partition=fanout.partition, reason=tail.gap.value)
            self._wake(list(self._noticing))
            fanout.reset(tail.revision, tail.gap)
        elif tail.events:
            for some in _some(tail.events, _TOLD):
                await self._tell(some, tail, look)
                # With the same position as the streams': the next look begins there for both.
                self._copies.apply(fanout.partition, tail._replace(events=some), begun)
            return
        else:
            fanout.confirm(look)
        self._copies.apply(fanout.partition, tail, begun)
        if look.position is not None:
            await self._storage.wait(fanout.partition, tail.revision, self._heartbeat)

    async def _tell(self, events: Sequence[Event], tail: Tail, look: Look) -> None:
        """Tell events of the log's, in order, with the values that there are now."""
        for event in events:
            if event.kind != "foreign":
                self._wake([event.key] if event.key else list(self._noticing))
        values: dict[Key, Stored | None] = {}
        revisions: list[int] = []
        keys = self._fanout.wanted(events)
        if keys:
            read = await self._storage.read_within(keys, self._push_limits)
            values.update(zip(keys, read.entries, strict=True))
            revisions.append(read.revision)
        is_all = events[-1].revision >= tail.revision
        self._fanout.tell(events, values, revisions, look, is_all=is_all)
        if self._fanout.requests:
            self._wanted.set()  # some values are to follow, perhaps
        self._skip(events)

    def _skip(self, events: Sequence[Event]) -> None:
        """Say that there is what no server of Relevo has written."""
        foreign = [event.revision for event in events if event.kind == "foreign"]
        if foreign and self._foreign.is_due(monotonic(), len(foreign)):
            log.warning(
                "watch.foreign_entry",
                partition=self._fanout.partition,
                entry=to_log_id(foreign[-1]),
                count=self._foreign.count,
            )

    def _wake(self, keys: Iterable[Key]) -> None:
        for key in keys:
            for changed in self._noticing.get(key, ()):
                changed.set()

    async def _answer(self) -> None:
        # The log's position comes first: what is written after it is told after the answer.
        await self._located.wait()
        batch = self._answers.next()
        if batch is None:
            self._wanted.clear()
            await self._wanted.wait()
            return
        try:
            read = await self._storage.read_within(batch.keys, batch.limits)
        except BaseException:
            self._answers.give_up(batch)
            raise
        await self._apply(batch, read)
        if batch.is_last_look and self._fanout.requests:
            # Who subscribes mostly reads the entry too, which is then at hand in a moment.
            await asyncio.sleep(_MOMENT)
        if self._fanout.has_unconfirmed:
            await self._confirm()

    async def _apply(self, batch: Batch, read: Read) -> None:
        """Answer what was read, a few at a time: calls do not wait for all of them."""
        steps = deque(batch.steps(read))
        try:
            await asyncio.sleep(0)  # what was read has just been made of bytes: a step of its own
            while steps:
                begun = monotonic()
                self._answers.apply(*steps.popleft())
                await self._pace.rest(begun)
        finally:
            for part, _ in steps:
                self._answers.give_up(part)

    async def _confirm(self) -> None:
        """Look at the log for streams that are new here: `_follow` may be waiting for long."""
        look = self._fanout.look()
        tail = await self._look(look, 1)
        # Whatever was told meanwhile, nothing was missing when the log was looked at.
        if not tail.events and not tail.gap:
            self._fanout.confirm(look)

    async def _look(self, look: Look, limit: int) -> Tail:
        partition = self._fanout.partition
        return await self._storage.tail(partition, look.position, limit, seen=look.seen)


def _some(events: Sequence[Event], size: int) -> Iterator[Sequence[Event]]:
    """The events, some at a time."""
    return (events[i : i + size] for i in range(0, len(events), size))
