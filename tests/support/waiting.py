"""Waits for a condition, with a time limit."""

import asyncio
import inspect
import time
from collections.abc import Callable

PATIENCE = 30.0
"""Seconds after which what has not happened will not happen, on a busy machine too."""
_PAUSE = 0.02


def until(condition: Callable[[], object], *, within: float = PATIENCE, what: str = "") -> None:
    """Wait until `condition()` is true. Raises AssertionError after `within` seconds."""
    end = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end, f"not within {within} s: {what or condition}"
        time.sleep(_PAUSE)


async def until_async(
    condition: Callable[[], object], *, within: float = PATIENCE, what: str = ""
) -> None:
    """Wait until `condition()` is true, or its result if that is awaitable, while the loop runs.

    Raises AssertionError after `within` seconds.
    """
    end = time.monotonic() + within
    while not await _result(condition):
        assert time.monotonic() < end, f"not within {within} s: {what or condition}"
        await asyncio.sleep(_PAUSE)


async def _result(condition: Callable[[], object]) -> object:
    result = condition()
    return await result if inspect.isawaitable(result) else result
