"""Measures durations on a machine that other processes use too."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import TypeVar

_STEP = 0.005
PATIENCE = 40.0
"""Seconds after which an attempt counts, even if the machine paused this process."""

_Result = TypeVar("_Result")


async def measured(
    attempt: Callable[[], Awaitable[_Result]], *, pause: float = 0.05
) -> tuple[_Result, float]:
    """The result of an attempt, and its duration in seconds.

    The attempt is repeated if this process did not get CPU for more than `pause` seconds in
    total: the duration then means nothing.
    """
    end = monotonic() + PATIENCE
    while True:
        async with watched() as pauses:
            begun = monotonic()
            result = await attempt()
            now = monotonic()
        if sum(pauses) < pause or now > end:
            return result, now - begun


@asynccontextmanager
async def watched() -> AsyncGenerator[list[float]]:
    """The pauses in which this process did not get CPU in the block, in seconds."""
    pauses: list[float] = []
    watching = asyncio.create_task(_watch(pauses))
    await asyncio.sleep(0)
    try:
        yield pauses
        await asyncio.sleep(2 * _STEP)  # so that a pause at the very end is noticed
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


async def _watch(pauses: list[float]) -> None:
    """Sleep repeatedly, and record the excess of each sleep over its nominal duration."""
    while True:
        begun = monotonic()
        await asyncio.sleep(_STEP)
        late = monotonic() - begun - _STEP
        if late > _STEP:
            pauses.append(late)
