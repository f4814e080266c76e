"""The turns of one mode: those under way, which get their steps, and those that have ended."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from nooble.page.turns import Calls, Turn
from nooble.steps import Step
from nooble.wiring import Mode

KEPT = 200
"""The ended turns that are kept."""
PATIENCE = 1.0
"""Seconds to wait for an answered turn's last steps: datagrams may be lost."""
Watch = Callable[[Turn], None]
"""Called with a turn after each of its steps."""


class BusyError(Exception):
    """Raised if a conversation has a turn under way."""


class TurnUnderWay:
    """A turn that waits for its answer."""

    def __init__(self, turn: Turn, watch: Watch) -> None:
        self.turn = turn
        self._watch = watch
        self._stepped = asyncio.Event()

    def hear(self, step: Step) -> None:
        """Take a step."""
        self.turn.steps.append(step)
        self._stepped.set()
        self._watch(self.turn)

    async def until_stepped(self, count: int) -> None:
        """Wait until the turn has so many steps, but not for long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while len(self.turn.steps) < count:
                    self._stepped.clear()
                    await self._stepped.wait()


class TurnLog:
    """The turns of a mode."""

    def __init__(self, mode: Mode) -> None:
        self._mode: Mode = mode
        self._ended: deque[Turn] = deque(maxlen=KEPT)
        self._number = 0
        self._under_way: dict[str, TurnUnderWay] = {}
        """By their conversation, and by their id once a step has told it."""

    def begin(
        self, agent: str, conversation: str, text: str, due: Mapping[str, int], watch: Watch
    ) -> TurnUnderWay:
        """Begin a turn. Raises BusyError."""
        if conversation in self._under_way:
            raise BusyError
        self._number += 1
        turn = Turn(self._number, self._mode, agent, text, time.time(), due)
        begun = self._under_way[conversation] = TurnUnderWay(turn, watch)
        return begun

    def hear(self, step: Step) -> None:
        """Take a step. The first one of a turn names its conversation, the others its id only."""
        found = self._under_way.get(step.turn) or self._under_way.get(step.conversation)
        if found:
            self._under_way[step.turn] = found
            found.hear(step)

    def end(
        self, under_way: TurnUnderWay, said: Mapping[str, Any], at: float, calls: Calls
    ) -> None:
        """End a turn with what the orchestrator said at a time."""
        turn = under_way.turn
        turn.ended = at
        turn.answer = said.get("text", "")
        turn.error, turn.message = said.get("error", ""), said.get("message", "")
        turn.calls = calls
        for name in [each for each, found in self._under_way.items() if found is under_way]:
            del self._under_way[name]
        self._ended.append(turn)

    @property
    def last(self) -> Turn | None:
        """The turn that ended last."""
        return self._ended[-1] if self._ended else None

    def before(self, turn: Turn) -> Turn | None:
        """The answered turn of the same agent before a turn."""
        for each in reversed(self._ended):
            if each.agent == turn.agent and each.number < turn.number and not each.error:
                return each
        return None
