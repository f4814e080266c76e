"""Turns and steps that are made up."""

from collections.abc import Mapping
from typing import Any

from nooble.page.turns import Turn
from nooble.steps import Step

AGENT = "agent_config:meridian:support"
BEGAN = 1000.0


def step(service: str = "query", at: float = 0.01, **changes: Any) -> Step:
    """A step that arrives so many seconds after the turn's beginning, and takes 10 ms."""
    arrived = BEGAN + at
    fields: dict[str, Any] = {
        "turn": "t-1",
        "conversation": "",
        "service": service,
        "pid": 1,
        "arrived": arrived,
        "settled": arrived + 0.002,
        "ended": arrived + 0.01,
        "source": "rider",
        "read": None,
        "versions": {AGENT: 1},
        "settings": {},
        "store_calls": 0,
        **changes,
    }
    return Step(**fields)


def turn(
    *steps: Step, number: int = 1, due: Mapping[str, int] | None = None, error: str = ""
) -> Turn:
    """A turn of 100 ms."""
    return Turn(
        number,
        "relevo",
        AGENT,
        "Hello",
        BEGAN,
        due or {},
        ended=BEGAN + 0.1,
        error=error,
        steps=list(steps),
    )
