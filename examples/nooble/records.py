"""The records of a measured run, and their summary. Pure functions, no I/O."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from nooble.observing import Seen
from nooble.wiring import Mode


@dataclass(frozen=True)
class Turn:
    """One turn. Times are seconds of one monotonic clock."""

    lap: int
    conversation: str
    began: float
    seconds: float
    seen: Sequence[Seen]
    """The services' observations, step by step; empty if the turn failed."""
    error: str = ""

    def is_outdated(self, changes: Sequence["Change"]) -> bool:
        """Whether a service missed a change that was acknowledged before the turn."""
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
        """Whether two services used different versions of a configuration."""
        versions: dict[str, int] = {}
        return any(
            versions.setdefault(key, version) != version
            for seen in self.seen
            for key, version in seen.versions.items()
        )


@dataclass(frozen=True)
class Change:
    """A change of a configuration, and the time of its acknowledgement."""

    key: str
    version: int
    acknowledged: float


@dataclass
class Record:
    """The turns and changes in one mode."""

    mode: Mode
    turns: list[Turn] = field(default_factory=list[Turn])
    changes: list[Change] = field(default_factory=list[Change])
    management_calls: int = 0
    """The number of requests to agent management for a configuration."""
    redis_calls: int = 0
    """The number of commands to the configuration's Redis, including the store's."""


@dataclass(frozen=True)
class Result:
    """The summary of one mode."""

    mode: Mode
    turns: int
    failed: int
    outdated: int
    disagreed: int
    management_calls: int
    redis_calls: int
    store_calls: int
    p50: float
    """The median time of a turn, in seconds; p95 and p99 likewise."""
    p95: float
    p99: float


def result_of(record: Record) -> Result:
    """Summarize the record of one mode."""
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
    """The quantile of ordered values for `part`, from 0 to 1, by the nearest-rank method."""
    if not ordered:
        return 0.0
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]


def lap_medians(record: Record) -> Mapping[int, float]:
    """The median time of a turn in each lap, in seconds."""
    by_lap: dict[int, list[float]] = {}
    for turn in record.turns:
        if not turn.error:
            by_lap.setdefault(turn.lap, []).append(turn.seconds)
    return {lap: median(times) for lap, times in by_lap.items()}


def _store_calls(turns: Sequence[Turn]) -> int:
    """The sum of each process's greatest count: counts only grow."""
    calls: dict[int, int] = {}
    for turn in turns:
        for seen in turn.seen:
            calls[seen.pid] = max(seen.store_calls, calls.get(seen.pid, 0))
    return sum(calls.values())
