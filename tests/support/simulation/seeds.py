"""The seeds that simulations run through, and how one of them is replayed."""

import os
from collections.abc import Callable, Iterable
from typing import Protocol

import pytest

_SEEDS = int(os.environ.get("RELEVO_SEEDS", "300"))
_FIRST = int(os.environ.get("RELEVO_FIRST_SEED", "0"))
_AT_ONCE = 25


class Simulated(Protocol):
    """A simulated world."""

    served: int
    """How often it has answered what it was to be asked."""

    def run(self, steps: int) -> None:
        """Let things happen. AssertionError where a rule does not hold."""
        ...


_STARTS = range(_FIRST, _FIRST + _SEEDS, _AT_ONCE)

some_seeds = pytest.mark.parametrize(
    "seeds",
    [range(start, min(start + _AT_ONCE, _FIRST + _SEEDS)) for start in _STARTS],
    ids=lambda seeds: f"{seeds.start}-{seeds.stop - 1}",
)
"""Gives a test all `seeds`, some at a time: no test takes long, and they run side by side."""


def served_in_all(make: Callable[[int], Simulated], steps: int, seeds: Iterable[int]) -> int:
    """Run the world of each seed: how often they served. One that fails says how to replay it."""
    served = 0
    for seed in seeds:
        world = make(seed)
        try:
            world.run(steps)
        except AssertionError as error:
            error.add_note(f"replay it with RELEVO_FIRST_SEED={seed} RELEVO_SEEDS=1")
            raise
        served += world.served
    return served
