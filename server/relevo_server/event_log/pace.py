"""How work that can wait leaves room for calls, which somebody waits for.

A server is one loop: a call takes some turns of it, and in each of them it waits for whatever
else is done. So work that comes in thousands, as the answers that fill a near cache do, is done in
short steps. While there are calls it rests in between, so that the loop and gRPC's own threads,
which may have no other core, are free for them about half of the time.
"""

import asyncio
import math
from time import monotonic

_RECENT = 0.02
"""Seconds after a call for which others are expected."""
_TIMES = 3
"""How many times as long as it works it rests: what it answers is still to be sent."""
_SHORTEST = 0.001
"""Seconds of a rest: the timers of the loop have no shorter ones."""
_LONGEST = 0.005
"""Seconds of a rest, however long a step took: who fills a cache waits too."""


class Pace:
    """The pace of all such work in one server. Times are seconds of the monotonic clock."""

    def __init__(self) -> None:
        self._called = -math.inf
        self._owed = 0.0
        self._until = -math.inf

    def called(self, now: float) -> None:
        """Note that a call has come."""
        self._called = now

    def pause(self, begun: float, now: float) -> float:
        """The seconds to rest after a step that was begun then; 0 for one turn of the loop."""
        if now - self._called > _RECENT:
            self._owed = 0.0
            return 0.0
        self._owed += (now - begun) * _TIMES
        if self._owed >= _SHORTEST:
            self._until = now + min(self._owed, _LONGEST)
            self._owed = 0.0
        return max(0.0, self._until - now)

    async def rest(self, begun: float) -> None:
        """Let others have the loop, after a step that was begun then."""
        await asyncio.sleep(self.pause(begun, monotonic()))
