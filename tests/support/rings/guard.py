"""Keeps tests from starting processes."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from typing import Any

STARTS = {"subprocess.Popen", "os.posix_spawn", "os.fork", "os.forkpty", "os.exec"}
"""Names of the interpreter's audit events."""


class _Guard:
    """Whether processes may be started now."""

    is_up = False

    def __call__(self, event: str, _: tuple[Any, ...]) -> None:
        if self.is_up and event in STARTS:
            raise RuntimeError(
                f"{event} in a quick test: use what support.rings.marks knows to start processes, "
                "or mark the test with `processes`"
            )


@cache
def _installed() -> _Guard:
    guard = _Guard()
    sys.addaudithook(guard)  # it cannot be removed again
    return guard


@contextmanager
def no_processes() -> Generator[None]:
    """Whatever starts a process raises RuntimeError meanwhile."""
    guard = _installed()
    guard.is_up = True
    try:
        yield
    finally:
        guard.is_up = False
