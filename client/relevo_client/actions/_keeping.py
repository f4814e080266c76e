"""What has to be done beside handling: keeping what is in hand, taking over, reading on.

Redis counts an entry as idle from its last delivery, however busy its consumer is with
it. So that long work is not delivered again, its idle time is set back in time. What
others left undone is taken over; the same question tells whether the queue's consumer
group is there still. If it is not, as after a Redis without persistence was restarted,
what the queue held is lost: who waits for a reply is told, the group is created anew, and
so are the subscribers, which FastStream stops for good then.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Sequence
from typing import Any, Protocol

from relevo_client._context.raised import shown
from relevo_client._propagation.callbacks import log
from relevo_client.actions._deliveries import ascii_of
from relevo_client.actions._entries import Entries, Left


class Subscriber(Protocol):
    """What is used of a subscriber of FastStream's."""

    running: bool

    async def start(self) -> None:
        """Begin to read."""
        ...

    async def stop(self) -> None:
        """Read no more, and wait for what is being handled."""
        ...


class Keeper:
    """Looks after one queue. Use `run` as a task.

    Args:
        queue: the queue's name.
        entries: its entries in Redis.
        in_hand: the entries that are worked on here, now.
        subscribers: what reads the queue.
        handle: works on an entry that was left undone.
        lost: is called when the queue has lost what it held.
        redeliver_after: seconds after which an idle entry is taken over.

    """

    def __init__(
        self,
        queue: str,
        entries: Entries,
        in_hand: Collection[bytes],
        subscribers: Sequence[Subscriber],
        handle: Callable[[Left], Coroutine[Any, Any, None]],
        lost: Callable[[], None],
        redeliver_after: float,
    ) -> None:
        self._queue = ascii_of(queue)
        self._entries = entries
        self._in_hand = in_hand
        self._subscribers = subscribers
        self._handle = handle
        self._lost = lost
        self._redeliver_after = redeliver_after
        self._every = max(0.01, min(1.0, redeliver_after / 10))
        self._handling: asyncio.Task[None] | None = None
        self._is_away = False
        self.is_ending = False
        """Whether subscribers that do not run are meant not to, and nothing is taken over."""

    async def run(self) -> None:
        """Do it until cancelled. What was taken over is cancelled then, too."""
        try:
            while True:
                await self._pause()
                await self._look_after()
        finally:
            if self._handling:
                self._handling.cancel()

    async def _pause(self) -> None:
        if self._handling and not self._handling.done():
            # When it is done, the next one is taken over at once.
            await asyncio.wait([self._handling], timeout=self._every)
        else:
            await asyncio.sleep(self._every)

    async def _look_after(self) -> None:
        try:
            try:
                if self._in_hand:
                    await self._entries.keep(tuple(self._in_hand))
                if not self.is_ending:
                    await self._start_stopped()
                    await self._take_over()
            except Exception as error:
                if "NOGROUP" not in str(error):
                    raise
                self._lost()
                await self._begin_anew()
        except Exception as error:  # noqa: BLE001 - Redis may be away: it is tried again
            if not self._is_away:
                log.warning("queue %s cannot be kept now: %s", self._queue, shown(error))
            self._is_away = True
        else:
            self._is_away = False

    async def _take_over(self) -> None:
        while self._handling is None or self._handling.done():
            left = await self._entries.take_over(self._redeliver_after)
            if left is None:
                return
            if not left.fields:
                log.warning("entry %s of %s was trimmed undone", left.entry.decode(), self._queue)
            elif left.entry not in self._in_hand:  # else it was not kept in time, and is now
                self._handling = asyncio.create_task(self._handle(left))
                await asyncio.sleep(0)

    async def _start_stopped(self) -> None:
        if any(not each.running for each in self._subscribers):
            # They stop where they see that the group is gone.
            if await self._entries.create_group():
                self._lost()
            await self._begin_anew()

    async def _begin_anew(self) -> None:
        await self._entries.create_group()
        for subscriber in self._subscribers:
            if not subscriber.running and not self.is_ending:
                await subscriber.start()
        log.warning("queue %s was gone: its consumers have begun anew", self._queue)
