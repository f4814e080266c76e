"""What was seen in the measured run, and what came of it: pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from nooble.observing import Seen
from nooble.wiring import Mode


@dataclass(frozen=True)
class Turn:
    """One turn. Times are seconds of one clock."""

    lap: int
    conversation: str
    began: float
    seconds: float
    seen: Sequence[Seen]
    """What the services said, step by step; nothing where it failed."""
    error: str = ""

    def is_outdated(self, changes: Sequence["Change"]) -> bool:
        """Whether a service worked with what had been changed before the turn began."""
        due: dict[str, int] = {}
        for change in changes:
            if change.acknowledged <= self.began:
                due[change.key] = max(change.version, due.get(change.key, 0))
        return any(
            version < due.get(key, 0)
            for seen in self.seen
            for key, version in seen.versions.items()
        )

    @property
    def is_disagreed(self) -> bool:
        """Whether two of its services worked with different states of a configuration."""
        states: dict[str, int] = {}
        return any(
            states.setdefault(key, version) != version
            for seen in self.seen
            for key, version in seen.versions.items()
        )


@dataclass(frozen=True)
class Change:
    """A change in agent management, and when it was acknowledged."""

    key: str
    version: int
    acknowledged: float


@dataclass
class Record:
    """What happened in one mode."""

    mode: Mode
    turns: list[Turn] = field(default_factory=list[Turn])
    changes: list[Change] = field(default_factory=list[Change])
    management_calls: int = 0
    """How often agent management was asked for a configuration."""
    redis_calls: int = 0
    """How often the Redis of the configuration was asked, by the store too."""


@dataclass(frozen=True)
class Result:
    """What came of one mode."""

    mode: Mode
    turns: int
    failed: int
    outdated: int
    disagreed: int
    management_calls: int
    redis_calls: int
    store_calls: int
    p50: float
    """Seconds."""
    p95: float
    p99: float


def result_of(record: Record) -> Result:
    """Sum up what happened in one mode."""
    answered = [turn for turn in record.turns if not turn.error]
    times = sorted(turn.seconds for turn in answered)
    return Result(
        mode=record.mode,
        turns=len(record.turns),
        failed=len(record.turns) - len(answered),
        outdated=sum(turn.is_outdated(record.changes) for turn in answered),
        disagreed=sum(turn.is_disagreed for turn in answered),
        management_calls=record.management_calls,
        redis_calls=record.redis_calls,
        store_calls=_store_calls(answered),
        p50=quantile(times, 0.50),
        p95=quantile(times, 0.95),
        p99=quantile(times, 0.99),
    )


def quantile(ordered: Sequence[float], part: float) -> float:
    """The smallest value that this part of the values does not exceed (nearest rank)."""
    if not ordered:
        return 0.0
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]


def lap_medians(record: Record) -> Mapping[int, float]:
    """The median time of a turn in each lap."""
    by_lap: dict[int, list[float]] = {}
    for turn in record.turns:
        if not turn.error:
            by_lap.setdefault(turn.lap, []).append(turn.seconds)
    return {lap: median(times) for lap, times in by_lap.items()}


def _store_calls(turns: Sequence[Turn]) -> int:
    """The sum of what each process said last: its count only grows."""
    calls: dict[int, int] = {}
    for turn in turns:
        for seen in turn.seen:
            calls[seen.pid] = max(seen.store_calls, calls.get(seen.pid, 0))
    return sum(calls.values())
