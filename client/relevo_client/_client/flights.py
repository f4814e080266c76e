"""What loads under way have in common, on an event loop and in threads.

A load belongs to nobody: a caller that gives up does not end it, its time is not
bound to the first caller's, and no context is current in it. What it raises,
everyone who waits gets, and the next caller starts anew.
"""

from collections.abc import Hashable
from contextvars import Context, copy_context
from typing import TypeVar

from relevo_client._context.current import set_current

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class WaitedTooLongError(TimeoutError):
    """A caller's deadline came before the end of the load, which goes on without it."""


def without_current() -> Context:
    """What is ambient here, but for the context that is current."""
    ambient = copy_context()
    ambient.run(set_current, None)
    return ambient
