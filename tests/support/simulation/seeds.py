"""Runs simulations with many seeds, and reports how to replay one of them."""

import os
from collections.abc import Callable, Iterable
from typing import Protocol

import pytest

SEEDS = int(os.environ.get("RELEVO_SEEDS", "300"))
_FIRST = int(os.environ.get("RELEVO_FIRST_SEED", "0"))
_AT_ONCE = 25


class Simulated(Protocol):
    """A simulated world."""

    served: int
    """How often its cache has served an answer."""

    def run(self, steps: int) -> None:
        """Run this many steps. Raises AssertionError if a rule is violated."""
        ...


_STARTS = range(_FIRST, _FIRST + SEEDS, _AT_ONCE)

some_seeds = pytest.mark.parametrize(
    "seeds",
    [range(start, min(start + _AT_ONCE, _FIRST + SEEDS)) for start in _STARTS],
    ids=lambda seeds: f"{seeds.start}-{seeds.stop - 1}",
)
"""Parametrizes a test with batches of `seeds`: each test is short, and they run in parallel."""


def served_in_all(make: Callable[[int], Simulated], steps: int, seeds: Iterable[int]) -> int:
    """Run a world for each seed, and return how often they served. A failure names its seed."""
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
