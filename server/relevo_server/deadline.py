"""Until when the call that is being answered may wait.

It belongs to the call and not to any one question that the call asks, so it
travels as gRPC's own deadlines do, in the call's context. A backend that waits
ends its wait by it: a timer around every call would cost more than most calls.
"""

import asyncio
import math
from contextvars import ContextVar
from typing import NamedTuple

STORE_SHARE = 0.5
"""The part of a call's time that the store has: the answer has to arrive in time, however
many calls end at once."""
WAIT_SHARE = 0.9
"""The part that a call has whose work it is to wait for another caller."""


class _Ends(NamedTuple):
    """Times of the loop."""

    store: float
    wait: float


_NEVER = _Ends(math.inf, math.inf)
_ends: ContextVar[_Ends] = ContextVar("ends", default=_NEVER)


def set_remaining(seconds: float) -> None:
    """Bound every wait of this task, and of tasks that it starts, by what its call has left."""
    now = asyncio.get_running_loop().time()
    _ends.set(_Ends(now + seconds * STORE_SHARE, now + seconds * WAIT_SHARE))


def is_over() -> bool:
    """Whether the time that the store has for the call is over."""
    return _ends.get().store <= asyncio.get_running_loop().time()


def earliest(until: float) -> float:
    """`until`, or if it comes first the end of the time that the store has for the call."""
    return min(until, _ends.get().store)


def earliest_wait(until: float) -> float:
    """`until`, or if it comes first the end of the time for waiting for another caller."""
    return min(until, _ends.get().wait)
