"""Until when the call that is being answered may wait.

It belongs to the call and not to any one question that the call asks, so it
travels as gRPC's own deadlines do, in the call's context. A backend that waits
ends its wait by it: a timer around every call would cost more than most calls.
"""

import asyncio
from contextvars import ContextVar

_until: ContextVar[float | None] = ContextVar("until", default=None)


def set_until(until: float | None) -> None:
    """Bound every wait of this task, and of tasks that it starts, by a time of its loop."""
    _until.set(until)


def is_over() -> bool:
    """Whether the call's end has come."""
    until = _until.get()
    return until is not None and until <= asyncio.get_running_loop().time()


def earliest(until: float) -> float:
    """`until`, or the call's own end where that comes before it."""
    own = _until.get()
    return until if own is None or until < own else own
