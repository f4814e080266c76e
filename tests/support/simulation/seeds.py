"""The seeds that simulations run through, and how one of them is replayed."""

import os
from collections.abc import Callable
from typing import Protocol

SEEDS = int(os.environ.get("RELEVO_SEEDS", "300"))
FIRST = int(os.environ.get("RELEVO_FIRST_SEED", "0"))


class Simulated(Protocol):
    """A simulated world."""

    served: int
    """How often it has answered what it was to be asked."""

    def run(self, steps: int) -> None:
        """Let things happen. AssertionError where a rule does not hold."""
        ...


def served_in_all(make: Callable[[int], Simulated], steps: int) -> int:
    """Run the world of each seed: how often they served. One that fails says how to replay it."""
    served = 0
    for seed in range(FIRST, FIRST + SEEDS):
        world = make(seed)
        try:
            world.run(steps)
        except AssertionError as error:
            error.add_note(f"replay it with RELEVO_FIRST_SEED={seed} RELEVO_SEEDS=1")
            raise
        served += world.served
    return served
