"""Counts the bytecode instructions of near-cache hits: `python -m support.clients.peeking [sdk]`.

Prints for each kind of client its name, the instructions of a `peek`, and the modules that ran.
With `sdk`, OpenTelemetry's SDK collects the metrics before.
"""

import asyncio
import json
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from relevo_client import AsyncContextClient, ContextClient, ContextKey, ExecutionContext
from relevo_client.testing import LocalStore

from support.counted import uncollected
from support.waiting import until, until_async

KEY = ContextKey("conversation", "acme", "c-1")


class Instructions:
    """The number of instructions that ran, and the modules they are in."""

    def __init__(self) -> None:
        self.number = 0
        self.modules: set[str] = set()

    def count(self, function: Callable[[], object]) -> object:
        """Count within a call of this function. Returns what it returns."""
        with uncollected():
            sys.settrace(self._trace)
            try:
                return function()
            finally:
                sys.settrace(None)

    def _trace(self, frame: FrameType, event: str, _: object) -> Any:
        frame.f_trace_opcodes = True
        module = frame.f_globals["__name__"]
        if event == "opcode" and module != __name__:
            self.number += 1
            self.modules.add(module)
        return self._trace


def measure(name: str, peek: Callable[[], object]) -> None:
    """Print the instructions of a hit. The most frequent number: pings may be due meanwhile."""
    numbers: list[int] = []
    modules: set[str] = set()
    for _ in range(20):
        instructions = Instructions()
        assert instructions.count(peek) is not None
        numbers.append(instructions.number)
        modules |= instructions.modules
    print(json.dumps([name, max(numbers, key=numbers.count), sorted(modules)]))


async def measure_asyncio(address: str) -> None:
    """Measure the asyncio client."""
    async with AsyncContextClient(address, timeout=10) as client:

        async def is_cached() -> bool:
            return client.peek(KEY) is not None

        await until_async(is_cached)
        measure("asyncio", lambda: client.peek(KEY))


def main(*arguments: str) -> None:
    """Measure both clients."""
    if "sdk" in arguments:
        from support.telemetry.recorded import meters  # noqa: PLC0415 - not without the SDK

        meters().figures()
    with LocalStore() as store, ContextClient(store.address, timeout=10) as client:
        client.put(KEY, ExecutionContext(user_id="u"))
        asyncio.run(measure_asyncio(store.address))
        client.resolve(KEY)
        until(lambda: client.peek(KEY))
        measure("blocking", lambda: client.peek(KEY))


if __name__ == "__main__":
    main(*sys.argv[1:])
