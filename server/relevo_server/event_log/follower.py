"""Follows one partition's log for its streams, its copies and the waiters on its keys."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from contextvars import Context
from time import monotonic

from relevo_server.errors import StoreError
from relevo_server.event_log.answers import READ_BYTES, Answers, Batch
from relevo_server.event_log.clock import server_time
from relevo_server.event_log.copies import Copies
from relevo_server.event_log.fanout import Fanout
from relevo_server.event_log.outbox import Outbox
from relevo_server.event_log.proofs import LogPoll
from relevo_server.event_log.subscriptions import SubscribeArgs
from relevo_server.keys import Key
from relevo_server.logs import LogThrottle, log, where
from relevo_server.revisions import to_log_id
from relevo_server.settings import Settings
from relevo_server.storage.events import Event, Tail
from relevo_server.storage.interface import Limits, Read, Storage, Stored
from relevo_server.telemetry.counts import Counts
from relevo_server.wire.entries import Entries
from relevo_server.wire.pushes import Place

_POLLED_TOGETHER = 500
"""Events that one poll returns, at most."""
_PUBLISHED_TOGETHER = 16
"""Events that one step publishes, at most: calls wait for one step and not for a whole poll."""
_STEP = 0.0002
"""Seconds after which a step of answers ends: calls wait for one step and not for a whole read."""
_READ_DELAY = 0.003
"""Seconds between sizing and reading, if few entries are subscribed to."""
_RETRY_DELAY = 0.1
"""Seconds before the next attempt to reach a store that failed."""


class Follower:
    """Reads a log once for all of its users. Create it within a running event loop.

    `turns` is shared by all followers of a server: whoever holds it publishes answers in this turn
    of the loop, so that calls wait for one short step, whatever the number of partitions.
    """

    def __init__(
        self,
        storage: Storage,
        partition: int,
        entries: Entries,
        copies: Copies,
        turns: asyncio.Lock,
        settings: Settings,
        counts: Counts,
    ) -> None:
        self.as_of = monotonic()
        """When the last poll began that reached the end of the log, in seconds of the monotonic
        clock; before the first one, when the follower was made."""
        self.needed_until = 0.0
        """The end of following for the copies, in seconds of the monotonic clock."""
        self._storage = storage
        self._copies = copies
        self._turns = turns
        self._fanout = Fanout(partition, entries, settings.watch_push_bytes)
        self._counts = counts
        # Streams add the same delay before they send progress, and copies are trusted for several
        # times as long.
        self._heartbeat = min(settings.watch_heartbeat / 2, settings.cache_max_staleness / 4)
        self._push_limits = Limits(settings.watch_push_bytes, READ_BYTES)
        self._foreign = LogThrottle()
        self._listening: set[asyncio.Event] = set()
        self._noticing: defaultdict[Key, set[asyncio.Event]] = defaultdict(set)
        self._answers_due = asyncio.Event()
        self._answers = Answers(self._fanout, self._answers_due)
        self._located = asyncio.Event()
        # In empty contexts: no call's deadline applies to them.
        self._tasks = [
            asyncio.create_task(self._forever(self._follow), context=Context()),
            asyncio.create_task(self._forever(self._answer), context=Context()),
        ]

    @property
    def is_idle(self) -> bool:
        """Whether the follower has no users."""
        is_needed = self._noticing or self._listening or monotonic() < self.needed_until
        return not (self._fanout.keys or is_needed)

    @property
    def position(self) -> int:
        """The revision up to which the log was read, 0 before the first poll."""
        return self._fanout.position or 0

    @property
    def sign(self) -> Place:
        """The partition's sign of life for streams that get these without asking."""
        return self._fanout.sign

    @property
    def watchers(self) -> int:
        """The number of streams with subscriptions."""
        return len(self._fanout.keys)

    def subscribe(self, outbox: Outbox, key: Key, args: SubscribeArgs) -> None:
        """Send a stream the value of a key, and then every change."""
        self._fanout.requests.add(self._fanout.subscribe(outbox, key), args)
        self._answers_due.set()

    def unsubscribe(self, outbox: Outbox, key: Key) -> int:
        """End a stream's subscription to a key, and its request.

        Returns the number of the request, 0 if there is none.
        """
        return self._fanout.unsubscribe(outbox, key)

    def drop(self, outbox: Outbox) -> None:
        """End all subscriptions and requests of a stream."""
        self._fanout.drop(outbox)

    def expect(self, outbox: Outbox, *, at_once: bool) -> None:
        """Report the next poll to a stream that has pinged; if `at_once`, poll now."""
        self._fanout.expect(outbox)
        if at_once:
            self._answers_due.set()

    async def notice(self, key: Key, changed: asyncio.Event) -> None:
        """Set the event `changed` whenever a key may have changed, or a lease on it ended.

        No change after the return is missed. Must be paired with `ignore`.
        """
        self._noticing[key].add(changed)
        await self._located.wait()

    def ignore(self, key: Key, changed: asyncio.Event) -> None:
        """Undo `notice`."""
        self._noticing[key].discard(changed)
        if not self._noticing[key]:
            del self._noticing[key]

    def listen(self, changed: asyncio.Event) -> None:
        """Set the event `changed` when the log may have changed, of whichever key.

        It is set once as soon as no later change is missed. Must be paired with `leave`.
        """
        self._listening.add(changed)
        if self._located.is_set():
            changed.set()

    def leave(self, changed: asyncio.Event) -> None:
        """Undo `listen`."""
        self._listening.discard(changed)

    def stop(self) -> None:
        """Cancel the tasks. Must be followed by `close`."""
        for task in self._tasks:
            task.cancel()

    async def close(self) -> None:
        """Cancel the tasks and wait for their end."""
        self.stop()
        # `wait`, as awaiting a cancelled task would look like a cancellation of the caller.
        await asyncio.wait(self._tasks)

    async def _forever(self, step: Callable[[], Awaitable[None]]) -> None:
        failures = LogThrottle()
        while True:
            try:
                await step()
            except StoreError:
                # Without progress the clients stop trusting their cached entries (N2).
                await asyncio.sleep(_RETRY_DELAY)
            except Exception as error:  # noqa: BLE001 - a defect: logged and retried
                if failures.is_due(monotonic()):
                    name = step.__name__
                    log.error("watch.failed", step=name, where=where(error), count=failures.count)
                await asyncio.sleep(_RETRY_DELAY)

    async def _follow(self) -> None:
        fanout = self._fanout
        started, poll = monotonic(), fanout.begin_poll(server_time())
        tail = await self._poll_log(poll, _POLLED_TOGETHER)
        if not tail.events or tail.events[-1].revision >= tail.revision:
            self.as_of = started
        if poll.position is None:
            fanout.position = tail.revision
            self._located.set()
            self._wake(())
        elif tail.gap:
            log.warning("watch.reset", partition=fanout.partition, reason=tail.gap.value)
            self._wake(list(self._noticing))
            fanout.reset(tail.revision, tail.gap)
        elif tail.events:
            for i in range(0, len(tail.events), _PUBLISHED_TOGETHER):
                chunk = tail.events[i : i + _PUBLISHED_TOGETHER]
                await self._publish(chunk, tail, poll)
                # Copies and streams have the same position: the next poll begins there for both.
                self._copies.apply(fanout.partition, tail._replace(events=chunk), started)
            return
        else:
            fanout.confirm(poll)
        self._copies.apply(fanout.partition, tail, started)
        if poll.position is not None:
            await self._storage.wait(fanout.partition, tail.revision, self._heartbeat)

    async def _publish(self, events: Sequence[Event], tail: Tail, poll: LogPoll) -> None:
        """Publish events in order, with the current values of their keys."""
        for event in events:
            if event.kind != "foreign":
                self._wake([event.key] if event.key else list(self._noticing))
        values: dict[Key, Stored | None] = {}
        revisions: list[int] = []
        keys = self._fanout.keys_to_read(events)
        if keys:
            read = await self._storage.read_within(
                keys, self._push_limits, position=events[-1].revision
            )
            values.update(zip(keys, read.entries, strict=True))
            revisions.append(read.revision)
        is_complete = events[-1].revision >= tail.revision
        fanout = self._fanout
        before = fanout.messages
        for _ in fanout.publish(events, values, revisions, poll, is_complete=is_complete):
            async with self._turns:
                await asyncio.sleep(0)
        self._counts.events += fanout.messages - before
        if fanout.requests:
            self._answers_due.set()  # follow-ups: values that had no room
        self._skip(events)

    def _skip(self, events: Sequence[Event]) -> None:
        """Log that the log has entries that no server of Relevo has written."""
        foreign = [event.revision for event in events if event.kind == "foreign"]
        if foreign and self._foreign.is_due(monotonic(), len(foreign)):
            log.warning(
                "watch.foreign_entry",
                partition=self._fanout.partition,
                entry=to_log_id(foreign[-1]),
                count=self._foreign.count,
            )

    def _wake(self, keys: Iterable[Key]) -> None:
        """Tell those who notice these keys, and all who listen."""
        for changed in self._listening:
            changed.set()
        for key in keys:
            for changed in self._noticing.get(key, ()):
                changed.set()

    async def _answer(self) -> None:
        # The position comes first: events after it are published after the answer.
        await self._located.wait()
        batch = self._answers.next(server_time())
        if batch is None:
            self._answers_due.clear()
            await self._confirm()
            await self._answers_due.wait()
            return
        try:
            read = await self._storage.read_within(
                batch.keys, batch.limits, position=batch.poll.position
            )
        except BaseException:
            self._answers.give_up(batch)
            raise
        await self._apply(batch, read)
        if batch.is_last_sizing and self._fanout.requests:
            # A subscriber mostly reads the entry too: in a moment it is among the recent contexts.
            await asyncio.sleep(_READ_DELAY)
        await self._confirm()

    async def _apply(self, batch: Batch, read: Read) -> None:
        """Answer a batch in short steps, so that calls do not wait for all of it."""
        steps = deque(self._answers.steps(batch, read))
        try:
            await asyncio.sleep(0)  # parsing the read was a step of its own
            while steps:
                async with self._turns:
                    end = monotonic() + _STEP
                    while steps and monotonic() < end:
                        self._answers.apply(*steps.popleft())
                    await asyncio.sleep(0)
        finally:
            for part, _ in steps:
                self._answers.give_up(part)

    async def _confirm(self) -> None:
        """Poll the log for new streams, if any: `_follow` may wait for up to a heartbeat."""
        if not self._fanout.report_first():
            return
        poll = self._fanout.begin_poll(server_time())
        with suppress(StoreError):  # `_follow` polls as well, and again once the store is back
            tail = await self._poll_log(poll, 1)
            # Whatever was published meanwhile, nothing was missing at the time of the poll.
            if not tail.events and not tail.gap:
                self._fanout.confirm(poll)

    async def _poll_log(self, poll: LogPoll, limit: int) -> Tail:
        partition = self._fanout.partition
        return await self._storage.tail(partition, poll.position, limit, seen=poll.seen)
