"""The near cache's report to operators, which is sent with pings."""

from typing import Protocol

from relevo.v1.store_pb2 import CacheReport

from relevo_client._telemetry.counts import CacheCounts, CacheFigures

REPORT_INTERVAL = 10.0
"""Seconds between two reports on one stream, at least; the first one comes with its first ping."""


class Reporter(Protocol):
    """A near cache that can report how it does."""

    counts: CacheCounts

    def figures(self, now: float) -> CacheFigures:
        """The present state."""
        ...


def report_of(cache: Reporter, now: float) -> CacheReport:
    """The report of a cache's counters and its present state."""
    counts, figures = cache.counts, cache.figures(now)
    report = CacheReport(
        entries=figures.entries,
        bytes=figures.size,
        hits=counts.hits,
        misses=counts.misses,
        evictions=counts.evictions,
        pushes=counts.pushes,
        reconnects=counts.reconnects,
    )
    if figures.staleness is not None:
        report.staleness.FromMilliseconds(round(figures.staleness * 1000))
    return report
