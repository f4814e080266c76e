"""`Signal`: an event for one waiter.

asyncio.Event has a queue of waiters, which takes 0.7 KB. A server has one such event for each of
its streams.
"""

import asyncio


class Signal:
    """An event that one task at a time waits for. Use it in one event loop."""

    __slots__ = ("_is_set", "_waiter")

    def __init__(self) -> None:
        self._is_set = False
        self._waiter: asyncio.Future[None] | None = None

    def set(self) -> None:
        """Let the waiter go on, and let nobody wait until `clear`."""
        self._is_set = True
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)

    def clear(self) -> None:
        """Let `wait` wait from now on."""
        self._is_set = False

    async def wait(self) -> None:
        """Wait until it is set."""
        if not self._is_set:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
