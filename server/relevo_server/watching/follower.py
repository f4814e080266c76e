"""One partition's log, followed for as long as anybody has use for it."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from contextvars import Context
from time import monotonic

from relevo_server.entries import Entries
from relevo_server.errors import StoreError
from relevo_server.keys import Key
from relevo_server.logs import log, where
from relevo_server.settings import Settings
from relevo_server.storage.interface import Storage, Stored, Tail
from relevo_server.watching.copies import Copies
from relevo_server.watching.fanout import Asked, Fanout, Look, Subscription
from relevo_server.watching.outbox import Outbox

_EVENTS = 500
"""Events that are read at once."""
_READS = 16
"""Entries that are read at once."""
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
        settings: Settings,
    ) -> None:
        self.needed_until = 0.0
        """Until when the partition is followed for its copies, by the monotonic clock."""
        self._storage = storage
        self._copies = copies
        self._fanout = Fanout(partition, entries, settings.watch_push_bytes)
        # The streams wait as long again before they pass a sign of life on, and copies are
        # trusted for several times as long.
        self._heartbeat = min(settings.watch_heartbeat / 2, settings.cache_max_staleness / 4)
        self._unanswered: list[tuple[Subscription, Asked]] = []
        self._noticing: defaultdict[Key, set[asyncio.Event]] = defaultdict(set)
        self._asked = asyncio.Event()
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
        self._unanswered.append((self._fanout.subscribe(outbox, key), asked))
        self._asked.set()

    def unsubscribe(self, outbox: Outbox, key: Key) -> None:
        """Tell a stream no more of a key."""
        self._fanout.unsubscribe(outbox, key)

    def drop(self, outbox: Outbox) -> None:
        """Forget a stream."""
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

    async def close(self) -> None:
        """Stop following."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task

    async def _forever(self, step: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await step()
            except StoreError:
                # Nothing is told meanwhile, so the streams' clients stop trusting their copies.
                await asyncio.sleep(_RETRY)
            except Exception as error:  # noqa: BLE001 - a defect: logged, and tried again
                log.error("watch.failed", step=step.__name__, where=where(error))
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
            for event in tail.events:
                self._wake([event.key] if event.key else list(self._noticing))
            keys = fanout.wanted(tail.events)
            values: dict[Key, Stored | None] = {}
            revisions: list[int] = []
            for some in _some(keys, _READS):
                read = await self._storage.read(some)
                values.update(zip(some, read.entries, strict=True))
                revisions.append(read.revision)
            fanout.tell(tail.events, values, revisions, look)
        else:
            fanout.confirm(look)
        # With the same position as the streams': the next look begins there for both.
        self._copies.apply(fanout.partition, tail, begun)
        if look.position is not None and not tail.events:
            await self._storage.wait(fanout.partition, tail.revision, self._heartbeat)

    def _wake(self, keys: Iterable[Key]) -> None:
        for key in keys:
            for changed in self._noticing.get(key, ()):
                changed.set()

    async def _answer(self) -> None:
        # The log's position comes first: what is written after it is told after the answer.
        await self._located.wait()
        await self._asked.wait()
        some, resets = self._unanswered[:_READS], self._fanout.resets
        keys, known = [each.key for each, _ in some], [asked.known for _, asked in some]
        read = await self._storage.read(keys, known)
        if self._fanout.resets != resets:
            return
        del self._unanswered[: len(some)]
        for (subscription, asked), stored in zip(some, read.entries, strict=True):
            if not self._fanout.answer(subscription, asked, stored, read.revision):
                self._unanswered.append((subscription, asked))
        if not self._unanswered:
            self._asked.clear()
        if self._fanout.has_unconfirmed:
            await self._confirm()

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


def _some(keys: Sequence[Key], size: int) -> Iterator[Sequence[Key]]:
    """The keys, some at a time."""
    return (keys[i : i + size] for i in range(0, len(keys), size))
