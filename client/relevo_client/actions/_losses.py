"""Ends the blocks that wait for replies if a queue loses its content."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from relevo_client._context.errors import RelevoError
from relevo_client._context.reasons import Reason


class QueueLostError(RelevoError):
    """A queue has lost its content, perhaps with the action or the reply that a block waits for.

    Raised within `ActionQueues.unless_lost()`, after a Redis without persistence was restarted or
    emptied. Send the action again if it may be done twice; else report the failure to the user.
    """

    def __init__(self) -> None:
        super().__init__("Redis has lost what a queue held", reason=Reason.QUEUE_LOST)


class Losses:
    """The blocks of code that a loss ends."""

    def __init__(self) -> None:
        self._blocks: set[asyncio.Timeout] = set()

    def end_blocks(self) -> None:
        """End all blocks that have begun, after a loss."""
        ended, self._blocks = self._blocks, set()
        for timeout in ended:
            timeout.reschedule(asyncio.get_running_loop().time())

    @asynccontextmanager
    async def block(self) -> AsyncGenerator[None, None]:
        """A block that raises QueueLostError at a loss."""
        # A timeout without a deadline until a loss: it tells its own cancellation from others.
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
