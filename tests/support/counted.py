"""Counts what a function does, so that a test of its cost needs no clock."""

import gc
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any


@contextmanager
def uncollected() -> Generator[None, None, None]:
    """Collect no garbage in the `with` block: a collection may begin in any call.

    What it runs is no cost of that call.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def calls_of(function: Callable[[], object]) -> int:
    """The number of calls of Python's and C's functions within a call of this function."""
    count = 0

    def profile(_: Any, event: str, __: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    with uncollected():
        sys.setprofile(profile)
        try:
            function()
        finally:
            sys.setprofile(before)
    return count
