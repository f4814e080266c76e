"""Telling who waits for a reply that the queues have lost what they held."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from relevo_client._context.errors import RelevoError
from relevo_client._context.reasons import Reason


class QueueLostError(RelevoError):
    """A queue has lost what it held, and with it perhaps what somebody waits for.

    Raised within `ActionQueues.unless_lost()`, after a Redis without persistence was restarted or
    emptied. Send the action again if it may be done twice; else tell the user that it failed.
    """

    def __init__(self) -> None:
        super().__init__("Redis has lost what a queue held", reason=Reason.QUEUE_LOST)


class Losses:
    """Blocks of code that a loss ends."""

    def __init__(self) -> None:
        self._blocks: set[asyncio.Timeout] = set()

    def end_blocks(self) -> None:
        """End all blocks that have begun: something was lost."""
        ended, self._blocks = self._blocks, set()
        for timeout in ended:
            timeout.reschedule(asyncio.get_running_loop().time())

    @asynccontextmanager
    async def block(self) -> AsyncGenerator[None, None]:
        """A block that ends with QueueLostError if a loss ends it."""
        # A timeout that only a loss brings about: it tells its own cancellation from others'.
        timeout = asyncio.timeout(None)
        try:
            async with timeout:
                self._blocks.add(timeout)
                try:
                    yield
                finally:
                    self._blocks.discard(timeout)
        except TimeoutError:
            if timeout.expired():
                raise QueueLostError from None
            raise
