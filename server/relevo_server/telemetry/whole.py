"""The metrics of a server that is several processes: reports of each, and one of the whole.

Counters and histograms are sums that never fall: what a process had counted stays when it ends.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

Labels: TypeAlias = tuple[tuple[str, str], ...]
_CUMULATIVE = frozenset({"counter", "histogram"})
_INFO = "info"
INSTANCE = "service_instance_id"
"""The label that tells processes apart, of which the whole has one of its own."""
MEANINGS: Mapping[str, Callable[[float, float], float]] = {
    "process_uptime_seconds": max,
    "relevo_server_follower_lag_seconds": max,
    "relevo_server_store_available": min,
    "relevo_server_store_entries": max,
    "relevo_server_store_log_length": max,
    "relevo_server_store_max_size_bytes": max,
    "relevo_server_store_size_bytes": max,
}
"""The functions that join two processes' values, for gauges that are no parts of a sum. The size of
a store is the one that any of them reports; it is available if each of them reaches it."""


class Sample(NamedTuple):
    """A value of a metric."""

    name: str
    labels: Labels
    value: float


class Family(NamedTuple):
    """A metric with its samples, as Prometheus has it."""

    name: str
    help: str
    kind: str
    unit: str
    samples: Sequence[Sample]


Report: TypeAlias = Sequence[Family]
"""All metrics of a process."""


def packed(report: Report) -> list[Any]:
    """A report as JSON has it."""
    return [
        [*described, [[each.name, dict(each.labels), each.value] for each in samples]]
        for *described, samples in report
    ]


def unpacked(report: Iterable[Any]) -> Report:
    """A report from its JSON."""
    return [
        Family(
            name, text, kind, unit, [Sample(each[0], labels_of(each[1]), each[2]) for each in some]
        )
        for name, text, kind, unit, some in report
    ]


def labels_of(labels: Mapping[str, str]) -> Labels:
    """Labels that can be compared."""
    return tuple(sorted(labels.items()))


class Whole:
    """Makes one report of those of several processes. `instance` names the whole of them."""

    def __init__(self, instance: str) -> None:
        self._instance = instance
        self._reports: dict[int, Report] = {}
        self._ended: Report = ()
        """The counts of processes that have ended."""

    def update(self, process: int, report: Report) -> None:
        """Take what a process reports now."""
        self._reports[process] = report

    def end(self, process: int) -> None:
        """Keep what a process has counted, and forget the rest: it has ended."""
        last = [each for each in self._reports.pop(process, ()) if each.kind in _CUMULATIVE]
        self._ended = merged([self._ended, last])

    @property
    def report(self) -> Report:
        """The metrics of the whole."""
        # First those that run: a description is theirs, and the order is a running process's.
        return [self._named(each) for each in merged([*self._reports.values(), self._ended])]

    def _named(self, family: Family) -> Family:
        if family.kind != _INFO:
            return family
        first = next(iter(family.samples))
        labels = labels_of({**dict(first.labels), INSTANCE: self._instance})
        return family._replace(samples=[first._replace(labels=labels)])


def _sum(one: float, other: float) -> float:
    return one + other


def merged(reports: Iterable[Report]) -> Report:
    """One report, with a sample for each name and set of labels that any of them has."""
    families: dict[str, Family] = {}
    values: dict[str, dict[tuple[str, Labels], float]] = {}
    for report in reports:
        for family in report:
            families.setdefault(family.name, family)
            found = values.setdefault(family.name, {})
            join = MEANINGS.get(family.name, _sum)
            for name, labels, value in family.samples:
                before = found.get((name, labels))
                found[name, labels] = value if before is None else join(before, value)
    return [
        family._replace(samples=[Sample(*key, value) for key, value in values[name].items()])
        for name, family in families.items()
    ]
