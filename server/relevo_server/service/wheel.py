"""`Wheel`: one timer for many members that are due again and again."""

import asyncio
import heapq
from collections.abc import Callable, Hashable
from contextvars import Context
from typing import Generic, TypeVar

_Member = TypeVar("_Member", bound=Hashable)
_SLOTS = 100
"""Slots in a second. Members of a slot are due together: short slots spread their work, so that
calls do not wait for thousands of streams."""
_ROUNDING = 1e-3
"""Slots by which a time may be rounded."""


class Wheel(Generic[_Member]):
    """Calls `due` for each member, once in the member's own interval. Use it in one event loop.

    A member that was missed while the loop was busy is due once, and then an interval later.
    """

    def __init__(self, due: Callable[[_Member], None]) -> None:
        self._due = due
        self._intervals: dict[_Member, int] = {}  # in slots
        self._turns: dict[_Member, int] = {}  # the slot in which each member is due
        self._slots: dict[int, dict[_Member, None]] = {}
        self._order: list[int] = []  # a heap of the slots, of which some may be empty
        self._timer: asyncio.TimerHandle | None = None
        self._rings = 0.0  # a timer of uvloop that has rung cannot tell when that was

    def __len__(self) -> int:
        return len(self._intervals)

    def set(self, member: _Member, interval: float) -> None:
        """Add a member, or change its interval in seconds, which begins now."""
        self._take(member)
        self._intervals[member] = max(1, round(interval * _SLOTS))
        self._put(member, _slot_now())
        self._schedule()

    def remove(self, member: _Member) -> None:
        """Remove a member, if it is one."""
        self._take(member)
        self._intervals.pop(member, None)
        if not self._intervals:
            self._slots.clear()
            self._order.clear()
            self._schedule()

    def _take(self, member: _Member) -> None:
        """Take a member out of the slot in which it is due."""
        slot = self._turns.pop(member, None)
        if slot is not None:
            del self._slots[slot][member]

    def _put(self, member: _Member, now: int) -> None:
        slot = self._turns[member] = now + self._intervals[member]
        if slot not in self._slots:
            self._slots[slot] = {}
            heapq.heappush(self._order, slot)
        self._slots[slot][member] = None

    def _schedule(self) -> None:
        """Let the timer ring at the first slot."""
        at = self._order[0] / _SLOTS if self._order else None
        if self._timer and self._rings != at:
            self._timer.cancel()
            self._timer = None
        if self._timer is None and at is not None:
            # In an empty context: no call's deadline applies to it.
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(at, self._turn, context=Context())
            self._rings = at

    def _turn(self) -> None:
        self._timer = None
        now = _slot_now()
        while self._order and self._order[0] <= now:
            members = self._slots.pop(heapq.heappop(self._order))
            for member in members:
                self._put(member, now)
            for member in members:
                self._due(member)
        self._schedule()


def _slot_now() -> int:
    return int(asyncio.get_running_loop().time() * _SLOTS + _ROUNDING)
