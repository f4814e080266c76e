"""The rules that loads in flight follow on an event loop and in threads.

A load is independent of its callers: a caller that gives up does not end it, the first
caller's deadline does not apply to it, and no context is current in it. Its exception is
raised to every waiter, and the next caller starts a new load.
"""

from collections.abc import Hashable
from contextvars import Context, copy_context
from typing import TypeVar

from relevo_client._context.current import set_current
from relevo_client._context.fences import FENCES

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class WaitedTooLongError(TimeoutError):
    """A caller's deadline passed before its load finished; the load goes on."""


def without_current() -> Context:
    """A copy of the context variables, without the current context and the call's fences."""
    ambient = copy_context()
    ambient.run(set_current, None)
    ambient.run(FENCES.set, None)
    return ambient
