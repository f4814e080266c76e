"""A process that loads a server with Gets, for `benchmarks.several`."""

import asyncio
import os
from contextlib import AsyncExitStack

from benchmarks import samples
from benchmarks.calls import path
from benchmarks.http2 import Http2Client, connected
from benchmarks.workers import serve_commands

_CONNECTIONS = 12
"""The system spreads connections at random: few would load workers unevenly."""
_IN_FLIGHT = 4
"""Calls of each connection."""


class Getter:
    """The commands. Connections stay open between them."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._clients: dict[str, list[Http2Client]] = {}

    async def load(self, address: str, seconds: float) -> tuple[int, float, float]:
        """Send Gets for some seconds. Returns their number, the elapsed time and the CPU used."""
        if address not in self._clients:
            self._clients[address] = [
                await self._stack.enter_async_context(connected(address))
                for _ in range(_CONNECTIONS)
            ]
        used = sum(os.times()[:2])
        loads = await asyncio.gather(
            *(
                each.load(path("Get"), samples.get_requests(), _IN_FLIGHT, seconds)
                for each in self._clients[address]
            )
        )
        calls = sum(len(latencies) for latencies, _ in loads)
        return calls, max(elapsed for _, elapsed in loads), sum(os.times()[:2]) - used


if __name__ == "__main__":
    asyncio.run(serve_commands({"load": Getter().load}))
