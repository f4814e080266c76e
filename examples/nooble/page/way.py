"""The way of a turn through the services, as rows that a template shows. Pure functions."""

import json
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from relevo_look import units

from nooble.page import words
from nooble.page.turns import Turn
from nooble.steps import Step

_ABSENT = object()


@dataclass(frozen=True)
class Value:
    """One setting that a step used."""

    path: str
    text: str
    """Its value as JSON."""
    before: str | None
    """Its value in the turn before, if that was another one; None if it has not changed."""
    is_different: bool
    """Whether another service of the turn used another value: a broken promise."""


@dataclass(frozen=True)
class Version:
    """The version of one configuration that a step used."""

    key: str
    name: str
    number: int
    due: int
    """The version that was acknowledged before the turn."""
    is_changed: bool
    """Whether the turn before used another version."""
    is_different: bool
    """Whether another service of the turn used another version: a broken promise."""

    @property
    def is_outdated(self) -> bool:
        """Whether the step missed a change that was acknowledged before the turn."""
        return self.number < self.due


@dataclass(frozen=True)
class Row:
    """One step. Places are percents of the turn's time."""

    service: str
    pid: int
    source: str
    """The source of its settings: a key of `look.SOURCES` or of `look.CALLS`, "" if unknown."""
    age: str
    waited: str
    """The time from its request's arrival until it had its settings."""
    took: str
    """The time from its request's arrival to its end."""
    begin: float
    settled: float
    end: float
    values: Sequence[Value]
    versions: Sequence[Version]


def rows(turn: Turn, before: Turn | None) -> list[Row]:
    """The steps of a turn so far. `before` is the turn of the same agent before it."""
    steps = turn.ordered
    ends = max([step.ended for step in steps], default=turn.began)
    span = max((turn.ended or ends) - turn.began, 1e-6)

    def place(moment: float) -> float:
        return round(min(100.0, max(0.0, 100 * (moment - turn.began) / span)), 2)

    return [
        Row(
            service=step.service,
            pid=step.pid,
            source=step.source,
            age=words.age(step, steps[0]),
            waited=units.duration(max(0.0, step.settled - step.arrived)),
            took=units.duration(max(0.0, step.ended - step.arrived)),
            begin=place(step.arrived),
            settled=place(step.settled),
            end=place(step.ended),
            values=list(_values(step, turn, before)),
            versions=list(_versions(step, turn, before)),
        )
        for step in steps
    ]


def _values(step: Step, turn: Turn, before: Turn | None) -> Iterator[Value]:
    earlier: Mapping[str, object] = before.settings_of(step.service) if before else {}
    differing = turn.differing
    for path, value in sorted(step.settings.items()):
        old = earlier.get(path, _ABSENT)
        is_changed = bool(earlier) and old != value
        was = "absent" if old is _ABSENT else _text(old)
        yield Value(path, _text(value), was if is_changed else None, path in differing)


def _versions(step: Step, turn: Turn, before: Turn | None) -> Iterator[Version]:
    used: Mapping[str, AbstractSet[int]] = before.used if before else {}
    disagreed = turn.disagreed
    for key, number in sorted(step.versions.items()):
        yield Version(
            key=key,
            name=key.rpartition(":")[2],
            number=number,
            due=turn.due.get(key, 0),
            is_changed=key in used and number not in used[key],
            is_different=key in disagreed,
        )


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
