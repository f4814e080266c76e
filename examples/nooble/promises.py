"""The two promises about a turn's configuration, checked by what its services used.

No service misses a change that was acknowledged before the turn, and all of them use the same.
"""

from collections.abc import Iterable, Mapping
from typing import TypeVar

_Value = TypeVar("_Value")


def used(steps: Iterable[Mapping[str, _Value]]) -> dict[str, set[_Value]]:
    """The values that the steps of a turn used, by key. A kept promise has one for each key."""
    found: dict[str, set[_Value]] = {}
    for step in steps:
        for key, value in step.items():
            found.setdefault(key, set()).add(value)
    return found


def outdated(steps: Iterable[Mapping[str, int]], due: Mapping[str, int]) -> frozenset[str]:
    """The keys of which a step used a version below the one that is due."""
    return frozenset(
        key for key, versions in used(steps).items() if min(versions) < due.get(key, 0)
    )


def disagreed(steps: Iterable[Mapping[str, object]]) -> frozenset[str]:
    """The keys of which two steps used different values."""
    return frozenset(key for key, values in used(steps).items() if len(values) > 1)
