"""Maintains one queue beside its handlers: keeps entries held, takes over, detects losses.

Redis counts an entry as idle from its last delivery on, even while its consumer handles it. So
the idle time of entries in progress is reset regularly, or long work would be redelivered.
Abandoned entries are taken over; the same inspection shows whether the consumer group is still
the same. If it is not, as after a restart of a Redis without persistence, the queue's content
is lost, and the waiters for replies are told: in each replica of the service, although only one
of them creates the group again. The subscribers, which FastStream stops for good if the group
is gone, are started again.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Sequence
from typing import Any, Protocol

from relevo_client._context.log import log
from relevo_client._context.raised import class_and_place
from relevo_client.actions._deliveries import ascii_of
from relevo_client.actions._entries import AbandonedEntry, Entries


class Subscriber(Protocol):
    """The part of FastStream's subscriber that is used here."""

    running: bool

    async def start(self) -> None:
        """Start reading."""
        ...

    async def stop(self) -> None:
        """Stop reading, and wait for the entries that are being handled."""
        ...


class Keeper:
    """Maintains one queue. Use `run` as a task.

    Args:
        queue: the queue's name.
        entries: the queue's entries in Redis.
        in_progress: the ids of the entries that this process is handling, updated by its owner.
        subscribers: the subscribers that read the queue.
        handle: handles an abandoned entry.
        on_loss: called when the queue has lost its content.
        redeliver_after: seconds after which an idle entry is taken over.

    """

    def __init__(
        self,
        queue: str,
        entries: Entries,
        in_progress: Collection[bytes],
        subscribers: Sequence[Subscriber],
        handle: Callable[[AbandonedEntry], Coroutine[Any, Any, None]],
        on_loss: Callable[[], None],
        redeliver_after: float,
    ) -> None:
        self._queue = ascii_of(queue)
        self._entries = entries
        self._in_progress = in_progress
        self._subscribers = subscribers
        self._handle = handle
        self._on_loss = on_loss
        self._redeliver_after = redeliver_after
        self._interval = max(0.01, min(1.0, redeliver_after / 10))
        self._handling: asyncio.Task[None] | None = None
        self._is_failing = False
        self._group = b""
        self.is_ending = False
        """Whether to neither restart subscribers nor take over entries: the service stops."""

    async def begin(self) -> None:
        """Create the group if it is missing. Losses are detected from now on."""
        await self._entries.create_group()
        self._group, _ = await self._entries.inspect()

    async def run(self) -> None:
        """Maintain the queue until cancelled, which also cancels an entry that was taken over."""
        try:
            while True:
                await self._pause()
                await self._keep_once()
        finally:
            if self._handling:
                self._handling.cancel()

    async def _pause(self) -> None:
        if self._handling and not self._handling.done():
            # The next entry is taken over as soon as this one is handled.
            await asyncio.wait([self._handling], timeout=self._interval)
        else:
            await asyncio.sleep(self._interval)

    async def _keep_once(self) -> None:
        try:
            try:
                await self._keep()
            except Exception as error:
                if "NOGROUP" not in str(error):
                    raise
                await self._entries.create_group()
                await self._keep()
        except Exception as error:  # noqa: BLE001 - Redis may be down: it is retried
            if not self._is_failing:
                log.warning("queue %s cannot be kept now: %s", self._queue, class_and_place(error))
            self._is_failing = True
        else:
            self._is_failing = False

    async def _keep(self) -> None:
        if self._in_progress:
            await self._entries.keep(tuple(self._in_progress))
        while True:
            is_free = self._handling is None or self._handling.done()
            takes_over = is_free and not self.is_ending
            idle = self._redeliver_after if takes_over else None
            group, abandoned = await self._entries.inspect(idle, self._group)
            self._check_group(group)
            await self._start_stopped()
            if abandoned is None:
                return
            await self._take_over(abandoned)

    def _check_group(self, group: bytes) -> None:
        if group != self._group:
            self._group = group
            self._on_loss()
            log.warning("queue %s was gone: its consumers have begun anew", self._queue)

    async def _start_stopped(self) -> None:
        # FastStream stops them when the group is gone.
        for subscriber in self._subscribers:
            if not subscriber.running and not self.is_ending:
                await subscriber.start()

    async def _take_over(self, abandoned: AbandonedEntry) -> None:
        if not abandoned.fields:
            log.warning("entry %s of %s was trimmed undone", abandoned.entry.decode(), self._queue)
        elif abandoned.entry not in self._in_progress:  # else its own idle time was reset too late
            self._handling = asyncio.create_task(self._handle(abandoned))
            await asyncio.sleep(0)
