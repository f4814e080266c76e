"""The deadline of the call that is being answered.

It applies to the call as a whole, so it is kept in a context variable of the call's task, as
gRPC's own deadlines are. A backend bounds each of its waits by it: a timer around every call
would cost more than most calls.
"""

import asyncio
import math
from contextvars import ContextVar
from typing import NamedTuple

STORE_SHARE = 0.5
"""The share of a call's time that the store has. The rest is for the response, which has to
arrive in time even if many calls end at once."""
WAIT_SHARE = 0.9
"""The share that a call has for waiting for another caller."""


class _Ends(NamedTuple):
    """Times of the loop."""

    store: float
    wait: float


_NEVER = _Ends(math.inf, math.inf)
_ends: ContextVar[_Ends] = ContextVar("ends", default=_NEVER)


def set_remaining(seconds: float) -> None:
    """Set the call's remaining seconds, which bound the waits of this task and its children."""
    now = asyncio.get_running_loop().time()
    _ends.set(_Ends(now + seconds * STORE_SHARE, now + seconds * WAIT_SHARE))


def is_over() -> bool:
    """Whether the store's share of the call's time is over."""
    return _ends.get().store <= asyncio.get_running_loop().time()


def has_time_for(seconds: float) -> bool:
    """Whether the store's share of the call's time lasts for so many seconds more."""
    return asyncio.get_running_loop().time() + seconds < _ends.get().store


def earliest(until: float) -> float:
    """The earlier of `until` and the end of the store's share of the call's time."""
    return min(until, _ends.get().store)


def earliest_wait(until: float) -> float:
    """The earlier of `until` and the end of the call's time for waiting for another caller."""
    return min(until, _ends.get().wait)
