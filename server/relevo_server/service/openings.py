"""Openings: new Watch streams have turns, so that many at once do not make each of them late.

To open a stream costs a server some ten times as much as a sign of life. If all clients of a lost
server come at once, and the work for all of their streams were begun at the same time, calls would
wait for it, and so would the streams that are open. So a few are opened at a time; the others wait
in the order in which they came, and cost nothing meanwhile. A stream whose client gives up leaves
the queue.

A turn ends once the stream's first message is on its way, or after `LONGEST` seconds if the client
asks for nothing.
"""

import asyncio
from typing import Self

AT_ONCE = 32
"""Streams that are opened at the same time. More would only wait for each other."""
TOGETHER = 0.01
"""Seconds for which the first message of a stream is held back, so that the answers to its first
ping and to its first Subscribes, and the proof of both, are one message."""
LONGEST = 0.1
"""Seconds after which a turn ends, whatever the stream does."""


class Openings:
    """The turns of one server's new streams, `at_once` of them at a time."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._turns = asyncio.Semaphore(at_once)
        self.waiting = 0
        """The number of streams that wait for their turns."""

    async def take(self) -> None:
        """Wait for a turn. Must be paired with `give_back`."""
        self.waiting += 1
        try:
            await self._turns.acquire()
        finally:
            self.waiting -= 1

    def give_back(self) -> None:
        """End a turn."""
        self._turns.release()


class Turn:
    """A stream's turn to be opened, for `async with`: it ends with the block at the latest."""

    __slots__ = ("_openings", "_timer")

    def __init__(self, openings: Openings) -> None:
        self._openings = openings
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        """Wait for the turn."""
        await self._openings.take()
        self._timer = asyncio.get_running_loop().call_later(LONGEST, self.end)
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the turn."""
        self.end()

    def end(self) -> None:
        """Let the next stream be opened. Does nothing if the turn is over."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
            self._openings.give_back()
