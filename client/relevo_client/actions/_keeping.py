"""What has to be done beside handling: keeping what is in hand, and reading on.

Redis counts an entry as idle from its last delivery, however busy its consumer is with
it. So that long work is not delivered again, its idle time is set back in time. FastStream
stops a subscriber for good where its consumer group is gone, as after a Redis without
persistence was restarted. Such a subscriber is started again, with the group.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from relevo_client._context.raised import shown
from relevo_client._propagation.callbacks import log
from relevo_client.actions._deliveries import ascii_of


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
    """Keeps the entries of some queues, and their subscribers. Use `run` as a task.

    Args:
        client: a client of redis-py's.
        group: the consumer group.
        consumer: the consumer that has the entries.
        every: seconds between two times.

    """

    def __init__(self, client: Any, group: str, consumer: str, every: float) -> None:
        self._client = client
        self._group = group
        self._consumer = consumer
        self._every = every
        self.is_ending = False
        """Whether subscribers that do not run are meant not to."""

    async def create_group(self, queue: str) -> None:
        """Create a queue's consumer group where there is none, for all that the queue holds."""
        try:
            await self._client.xgroup_create(queue, self._group, id="0", mkstream=True)
        except Exception as error:
            if "BUSYGROUP" not in str(error):
                raise

    async def run(
        self, in_hand: Callable[[str], Sequence[bytes]], queues: Mapping[str, Sequence[Subscriber]]
    ) -> None:
        """Do it until cancelled. `in_hand` has a queue's entries that are worked on."""
        while True:
            await asyncio.sleep(self._every)
            for queue, subscribers in queues.items():
                entries = in_hand(queue)
                if entries:
                    await self._try(queue, self._keep(queue, entries))
                stopped = [each for each in subscribers if not each.running]
                if stopped and not self.is_ending:
                    await self._try(queue, self._start(queue, stopped))

    async def _keep(self, queue: str, entries: Sequence[bytes]) -> None:
        await self._client.xclaim(queue, self._group, self._consumer, 0, entries, justid=True)

    async def _start(self, queue: str, stopped: Sequence[Subscriber]) -> None:
        await self.create_group(queue)
        for subscriber in stopped:
            await subscriber.start()
        log.warning("queue %s was gone: its consumers have begun anew", ascii_of(queue))

    async def _try(self, queue: str, doing: Awaitable[None]) -> None:
        try:
            await doing
        except Exception as error:  # noqa: BLE001 - Redis may be away: it is tried again
            log.warning("queue %s cannot be kept now: %s", ascii_of(queue), shown(error))
