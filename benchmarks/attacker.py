"""A worker that attacks a server, for `hostile`.

It stands for another machine, but shares a core with Redis and with the client whose calls are
measured. So it runs only while they need no CPU.
"""

import asyncio
import os
import sys
from contextlib import AsyncExitStack

from support.clients.hostile import fill

from benchmarks.attacks import ATTACKS, HOSTILE, Target, stubs_of
from benchmarks.workers import serve_commands

_CONNECTIONS = 6
"""Each has at most 1,000 streams."""


class Attacker:
    """The worker's commands."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._attack: asyncio.Task[int]
        self._has_ended = False
        self._target: Target

    async def prepare(self, address: str) -> None:
        """Connect, and put the entries that attacks ask for."""
        stubs = await stubs_of(address, self._stack, _CONNECTIONS)
        gets = await fill(stubs[0], HOSTILE, 100, 16, 256 << 10)
        port = int(address.rpartition(":")[2])
        self._target = Target(port, gets, lambda: self._has_ended, stubs)

    async def begin(self, name: str) -> None:
        """Begin an attack."""
        self._has_ended = False
        self._attack = asyncio.ensure_future(ATTACKS[name](self._target))

    async def end(self) -> int:
        """Let the attack end. Returns the number of its messages or calls."""
        self._has_ended = True
        return await self._attack


async def main() -> None:
    """Run the worker."""
    if sys.platform == "linux":
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    attacker = Attacker()
    each = attacker.prepare, attacker.begin, attacker.end
    await serve_commands({method.__name__: method for method in each})


if __name__ == "__main__":
    asyncio.run(main())
