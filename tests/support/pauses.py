"""Measuring how long something takes, on a machine that others use too."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import monotonic
from typing import TypeVar

_STEP = 0.005
PATIENCE = 40.0
"""Seconds after which an attempt counts, whatever the machine did."""

_Result = TypeVar("_Result")


async def measured(
    attempt: Callable[[], Awaitable[_Result]], *, pause: float = 0.05
) -> tuple[_Result, float]:
    """What an attempt returns, and how many seconds it took.

    It is begun again if this process was not let run meanwhile, for more than `pause` seconds
    in all: then the time that it took says nothing.
    """
    end = monotonic() + PATIENCE
    while True:
        pauses: list[float] = []
        watching = asyncio.create_task(_watch(pauses))
        await asyncio.sleep(0)
        begun = monotonic()
        try:
            result = await attempt()
            now = monotonic()
            await asyncio.sleep(2 * _STEP)  # a pause at the very end is seen then
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
        if sum(pauses) < pause or now > end:
            return result, now - begun


async def _watch(pauses: list[float]) -> None:
    """Sleep again and again, and note by how much that took longer than it should."""
    while True:
        begun = monotonic()
        await asyncio.sleep(_STEP)
        late = monotonic() - begun - _STEP
        if late > _STEP:
            pauses.append(late)
