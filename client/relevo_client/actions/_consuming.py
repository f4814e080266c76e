"""Handles the entries of one queue: each is acknowledged, redelivered or made a dead letter."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeAlias

from relevo_client._context.current import using
from relevo_client._context.log import log
from relevo_client._context.raised import class_and_place
from relevo_client.actions import _deliveries
from relevo_client.actions._deliveries import Begin, Delivery, Failure, ascii_of
from relevo_client.actions._entries import Entries, NotHeldError
from relevo_client.actions._model import DomainAction

Work: TypeAlias = Callable[[DomainAction, Begin], Awaitable[Failure | None]]


class Message(Protocol):
    """The part of FastStream's message that is used here."""

    body: Any
    headers: dict[str, Any]

    async def ack(self) -> None:
        """Acknowledge the entry. Raises NotHeldError if it is another consumer's."""
        ...


class Bury(Protocol):
    """A function that sends a message to the dead letters, and a failure to its sender."""

    def __call__(
        self, message: Message, delivery: Delivery, failure: Failure, /
    ) -> Awaitable[None]:
        """Send both."""
        ...


class Consumer:
    """The consumer of one queue.

    Args:
        queue: the queue's name.
        entries: the queue's entries in Redis.
        concurrency: the number of entries handled at a time.
        max_deliveries: how often the handler may begin with an entry, in all processes.
        work: handles an action; see `_deliveries.work`.
        bury: makes dead letters.

    """

    def __init__(
        self,
        queue: str,
        entries: Entries,
        concurrency: int,
        max_deliveries: int,
        work: Work,
        bury: Bury,
    ) -> None:
        self._queue = queue
        self._entries = entries
        self._room = asyncio.Semaphore(concurrency)
        self._max_deliveries = max_deliveries
        self._work = work
        self._bury = bury
        self.in_progress: set[bytes] = set()
        """The ids of the entries that are being handled, or wait for their turn."""

    async def receive(self, entry: bytes, message: Message, begun: int | None) -> None:
        """Handle an entry. `begun` is None for a new one, else how often a handler has begun."""
        if entry in self.in_progress:
            return
        self.in_progress.add(entry)
        try:
            # Without the context that was current at the start of the broker.
            with using(None, None):
                async with self._room:
                    await self._deliver(entry, message, begun)
        except Exception as error:  # noqa: BLE001 - Redis may be down: the action stays pending
            text = "entry %s of %s stays pending: %s"
            log.warning(text, entry.decode(), ascii_of(self._queue), class_and_place(error))
        finally:
            self.in_progress.discard(entry)

    async def _deliver(self, entry: bytes, message: Message, begun: int | None) -> None:
        read = _deliveries.read(message.body)
        action = None if isinstance(read, Failure) else read
        counted = begun or 0

        async def begin() -> None:
            nonlocal counted
            counted = await self._entries.begin(entry)

        limit = self._max_deliveries
        # After the last delivery no handler begins: the number stays that of the last one.
        delivery = Delivery(self._queue, entry.decode(), min(counted + 1, limit), limit, action)
        try:
            failure = await self._outcome(read, delivery, begin, begun)
            if failure is None:
                await message.ack()
            elif failure.is_final or counted >= self._max_deliveries:
                await self._entries.check(entry)
                await self._bury(message, delivery, failure)
                await message.ack()
                delivery.log_outcome(logging.ERROR, "is a dead letter", failure)
            else:
                delivery.log_outcome(logging.WARNING, "will be delivered again", failure)
        except NotHeldError:
            delivery.log_outcome(logging.INFO, "is left to another consumer", _deliveries.NOT_HELD)

    async def _outcome(
        self, read: DomainAction | Failure, delivery: Delivery, begin: Begin, begun: int | None
    ) -> Failure | None:
        if isinstance(read, Failure):
            return read
        if begun is not None:
            if begun >= self._max_deliveries:
                return _deliveries.TOO_OFTEN
            if begun:
                delivery.log_outcome(logging.INFO, "is begun again", _deliveries.NOT_DONE)
            else:
                delivery.log_outcome(logging.INFO, "is taken over", _deliveries.NOT_BEGUN)
        return await self._work(read, begin)


def dead_letter_headers(message: Message, delivery: Delivery, failure: Failure) -> dict[str, str]:
    """A dead letter's headers: the message's, with the queue, the reason and the deliveries."""
    about = {
        **{name: value for name, value in message.headers.items() if name != "reply_to"},
        "queue": delivery.queue,
        "reason": failure.reason,
        "deliveries": delivery.number,
    }
    # FastStream's format counts characters as bytes, so other text than ASCII would break it.
    return {ascii_of(name): ascii_of(str(value)) for name, value in about.items()}
