"""Paces background work so that calls keep their latency.

A server is one event loop: a call takes several turns of it, and waits in each of them for
whatever else runs. So work that comes in thousands, such as the answers that fill a near cache,
runs in short steps. While there are calls it rests in between, so that the loop and gRPC's own
threads, which may share one core, are free for calls about half of the time.
"""

import asyncio
import math
from time import monotonic

_RECENT_CALL = 0.02
"""Seconds after a call during which more calls are expected."""
_REST_FACTOR = 3
"""Seconds of rest for each second of work: the answers are still to be sent."""
_SHORTEST_REST = 0.001
"""The shortest rest in seconds: the loop's timers are no finer."""
_LONGEST_REST = 0.005
"""The longest rest in seconds, however long a step took: a client that fills its cache waits."""


class Pace:
    """The pace of one server's background work. Times are seconds of the monotonic clock."""

    def __init__(self) -> None:
        self._last_call = -math.inf
        self._rest_owed = 0.0
        self._rest_until = -math.inf
        self.turns = asyncio.Lock()
        """Held for a step and its rest: one at a time, whatever the number of partitions.

        Steps that have rested until the same moment would all run in one turn of the loop, and
        every call would wait for all of them.
        """

    def note_call(self, now: float) -> None:
        """Record the arrival of a call."""
        self._last_call = now

    def pause(self, started: float, now: float) -> float:
        """The seconds to rest after a step that began at `started`; 0 for one turn of the loop."""
        if now - self._last_call > _RECENT_CALL:
            self._rest_owed = 0.0
            return 0.0
        self._rest_owed += (now - started) * _REST_FACTOR
        if self._rest_owed >= _SHORTEST_REST:
            self._rest_until = now + min(self._rest_owed, _LONGEST_REST)
            self._rest_owed = 0.0
        return max(0.0, self._rest_until - now)

    async def rest(self, started: float) -> None:
        """Rest after a step that began at `started`. Hold `turns` for both."""
        await asyncio.sleep(self.pause(started, monotonic()))
