"""Fewer tests of a function with many parameters, chosen so that every pair of values is met."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from typing import Any

import pytest

Values = Sequence[str]
"""A test's values, in the order of the parameters."""


def sampled(items: Sequence[pytest.Item]) -> Iterator[pytest.Item]:
    """The tests of a sample, in their order. It is the same whenever the tests are.

    A function with one or two parameters keeps all its tests: they are the pairs.
    """
    functions = defaultdict[str, list[pytest.Item]](list)
    for item in items:
        functions[item.nodeid.partition("[")[0]].append(item)
    for tests in functions.values():
        for number in pairwise([_values(test) for test in tests]):
            yield tests[number]


def pairwise(rows: Sequence[Values]) -> list[int]:
    """The numbers of rows that have among them every pair of values that any row has.

    Rows are taken greedily, those with most pairs that are missing yet before others.
    """
    pairs = [_pairs(row) for row in rows]
    if not any(pairs):
        return [*range(len(rows))]
    missing = set[Any]().union(*pairs)
    chosen: list[int] = []
    while missing:
        best = max(range(len(rows)), key=lambda number: len(pairs[number] & missing))
        missing -= pairs[best]
        chosen.append(best)
    return sorted(chosen)


def _pairs(values: Values) -> set[Any]:
    return set(combinations(enumerate(values), 2))


def _values(item: pytest.Item) -> Values:
    callspec: Any = getattr(item, "callspec", None)
    params: Iterable[Any] = callspec.params.values() if callspec else ()
    return [repr(value) for value in params]
