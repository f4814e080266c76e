"""What the report answers about a mode, as points and shares. Pure functions, no I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nooble.records import Record, Result, Turn, quantile

EDGES = (0.0, 1.0, 2.0, 5.0, 10.0, 20.0)
"""Seconds since a change, at which the report's spans begin; the last span has no end."""


@dataclass(frozen=True)
class Span:
    """The turns that began within a span of seconds after a change of what they use."""

    begin: float
    end: float | None
    """None for no end."""
    turns: int
    outdated: int

    @property
    def share(self) -> float | None:
        """The share of them that worked with an outdated configuration; None of no turns."""
        return self.outdated / self.turns if self.turns else None


@dataclass(frozen=True)
class AfterChange:
    """A turn that began after a change of a configuration that it uses."""

    seconds: float
    """The time since the last such change was acknowledged."""
    is_outdated: bool
    """Whether a service missed a change that was acknowledged before the turn."""


def after_changes(record: Record) -> list[AfterChange]:
    """The answered turns after the first change of what they use, the soonest ones first."""
    found = [
        AfterChange(turn.began - max(known), turn.is_outdated(record.changes))
        for turn in record.turns
        if not turn.error and (known := _acknowledged(record, turn))
    ]
    return sorted(found, key=lambda each: each.seconds)


def _acknowledged(record: Record, turn: Turn) -> list[float]:
    """The times at which changes that a turn had to know were acknowledged."""
    keys = {key for seen in turn.seen for key in seen.versions}
    return [
        each.acknowledged
        for each in record.changes
        if each.key in keys and each.acknowledged <= turn.began
    ]


def spans(points: Sequence[AfterChange], edges: Sequence[float] = EDGES) -> list[Span]:
    """The turns after changes, by the time since the change. `edges` are where spans begin."""
    ends = [*edges[1:], None]
    return [
        Span(
            begin,
            end,
            len(
                within := [p for p in points if begin <= p.seconds and (not end or p.seconds < end)]
            ),
            sum(point.is_outdated for point in within),
        )
        for begin, end in zip(edges, ends, strict=True)
    ]


def times(record: Record) -> list[float]:
    """The times of the answered turns in seconds, ordered."""
    return sorted(turn.seconds for turn in record.turns if not turn.error)


def ecdf(ordered: Sequence[float], steps: int = 200) -> list[tuple[float, float]]:
    """The empirical distribution as (value, part of the values up to it), of ordered values."""
    parts = [i / steps for i in range(1, steps + 1)] if len(ordered) > steps else _ranks(ordered)
    return [(quantile(ordered, part), part) for part in parts]


def _ranks(ordered: Sequence[float]) -> list[float]:
    return [(i + 1) / len(ordered) for i in range(len(ordered))]


def calls_per_turn(result: Result) -> Mapping[str, float]:
    """The calls that configuration costs a turn, by the kinds of `look.CALLS`."""
    turns = max(1, result.turns)
    return {
        "management": result.management_calls / turns,
        "store": result.store_calls / turns,
        "redis": result.redis_calls / turns,
    }
