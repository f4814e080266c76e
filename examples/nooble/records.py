"""The records of a measured run, and their summary. Pure functions, no I/O."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from nooble import promises
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
    connected: float = 0.0
    """For the first turn of a conversation, the time that connecting took before."""

    @property
    def is_first(self) -> bool:
        """Whether it is the first turn of its conversation."""
        return self.connected > 0

    def is_outdated(self, changes: Sequence["Change"]) -> bool:
        """Whether a service missed a change that was acknowledged before the turn."""
        due: dict[str, int] = {}
        for change in changes:
            if change.acknowledged <= self.began:
                due[change.key] = max(change.version, due.get(change.key, 0))
        return bool(promises.outdated((seen.versions for seen in self.seen), due))

    @property
    def is_disagreed(self) -> bool:
        """Whether two services used different versions of a configuration."""
        return bool(promises.disagreed(seen.versions for seen in self.seen))


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
    later_turns: int
    """The number of answered turns that are not their conversation's first."""
    later_store_calls: int
    """The number of calls to the store that do not belong to a conversation's first turn."""
    changes: int
    first_p50: float
    """The median time from a connection's beginning to the first answer, in seconds."""
    p50: float
    """The median time of a turn, in seconds; p95 and p99 likewise."""
    p95: float
    p99: float

    @property
    def store_calls_per_later_turn(self) -> float:
        """The calls to the store per turn after a conversation's first."""
        return self.later_store_calls / max(1, self.later_turns)


def result_of(record: Record) -> Result:
    """Summarize the record of one mode."""
    answered = [turn for turn in record.turns if not turn.error]
    times = sorted(turn.seconds for turn in answered)
    first = sorted(turn.connected + turn.seconds for turn in answered if turn.is_first)
    store_calls, first_calls = _store_calls(answered)
    return Result(
        mode=record.mode,
        turns=len(record.turns),
        failed=len(record.turns) - len(answered),
        outdated=sum(turn.is_outdated(record.changes) for turn in answered),
        disagreed=sum(turn.is_disagreed for turn in answered),
        management_calls=record.management_calls,
        redis_calls=record.redis_calls,
        store_calls=store_calls,
        later_turns=len(answered) - len(first),
        later_store_calls=store_calls - first_calls,
        changes=len(record.changes),
        first_p50=quantile(first, 0.50),
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


def _store_calls(turns: Sequence[Turn]) -> tuple[int, int]:
    """All calls to the store, and those for first turns.

    Each is the sum of each process's greatest counts: counts only grow.
    """
    calls: dict[int, tuple[int, int]] = {}
    for turn in turns:
        for seen in turn.seen:
            most, most_first = calls.get(seen.pid, (0, 0))
            calls[seen.pid] = max(seen.store_calls, most), max(seen.first_calls, most_first)
    return sum(most for most, _ in calls.values()), sum(first for _, first in calls.values())
