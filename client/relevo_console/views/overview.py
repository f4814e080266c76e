"""The overview as a page shows it: figures, facts, and the data of its charts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from relevo.admin.v1 import admin_pb2
from relevo_cli.status import server_rows, store_rows
from relevo_look import units

from relevo_console.views.samples import Effect, Health, Samples

_POINTS = 240
"""The most points of a chart: one for four seconds of 15 minutes."""
_LEAST = 60.0
"""The seconds that a chart shows at least, so that its first points do not jump."""


@dataclass(frozen=True)
class Figure:
    """A figure with its word."""

    word: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Chart:
    """A chart over time, with the question that it answers."""

    id: str
    question: str
    unit: str
    data: Mapping[str, Any]
    answer: str


@dataclass(frozen=True)
class Overview:
    """All of the page."""

    effect: Sequence[Figure] = ()
    health: Sequence[Figure] = ()
    staleness: Sequence[Figure] = ()
    charts: Sequence[Chart] = ()
    server: Sequence[tuple[str, str]] = ()
    store: Sequence[tuple[str, str]] = ()
    sees_clients: bool = True
    """Whether the viewer may see all clients; else there is no effect and no staleness."""
    problem: str = ""
    since: datetime | None = None
    """Since when the store does not answer, None if it does."""


def away(problem: str, since: datetime | None) -> Overview:
    """The overview of a store that does not answer."""
    return Overview(problem=problem, since=since)


def overview(
    samples: Samples,
    status: admin_pb2.GetStatusResponse | None,
    *,
    sees_clients: bool,
    problem: str,
    since: float,
) -> Overview:
    """The overview for a viewer."""
    charts = _health_charts(samples.health)
    if sees_clients:
        charts = [*_effect_charts(samples.effect), *charts]
    return Overview(
        _effect(samples) if sees_clients else (),
        _health(status) if status else (),
        _staleness(samples.effect) if sees_clients else (),
        charts,
        server_rows(status.server) if status else (),
        store_rows(status.store) if status else (),
        sees_clients,
        problem,
        datetime.fromtimestamp(since, UTC) if problem else None,
    )


def _effect(samples: Samples) -> list[Figure]:
    totals = samples.totals
    share = totals.share
    return [
        Figure(
            "answered from near caches",
            "-" if share is None else f"{100 * share:.1f} %",
            f"{totals.near:,} lookups, nobody was asked",
        ),
        Figure("asked the store", f"{totals.store:,}", "lookups that a cache could not answer"),
        Figure(
            "asked the owner at most",
            f"{totals.absent:,}",
            "reads that found no entry; no others lead to a configuration's owner",
        ),
    ]


def _health(status: admin_pb2.GetStatusResponse) -> list[Figure]:
    store, server = status.store, status.server
    limit = f"of {units.size(store.max_bytes)}" if store.max_bytes else "no limit is set"
    return [
        Figure(
            "store answers in",
            units.of_message(store.latency) if store.available else "-",
            f"{store.kind}, {store.partitions} partitions",
        ),
        Figure("database memory", units.size(store.used_bytes) if store.used_bytes else "-", limit),
        Figure("calls in progress", f"{server.active_calls:,}", "of this server, without streams"),
        Figure(
            "watchers",
            f"{server.watchers:,}",
            f"{server.subscriptions:,} subscriptions, {units.size(server.outbox_bytes)} waiting",
        ),
    ]


def _staleness(effect: Sequence[Effect]) -> list[Figure]:
    if not effect:
        return []
    last = effect[-1]
    return [
        Figure(
            "oldest proof",
            units.duration(last.staleness) if last.clients else "-",
            "since the copies of each client were proven current; those that nobody reads need no"
            " proof",
        ),
        Figure(
            "longest lag", units.duration(last.lag), "time that a message has waited to be sent"
        ),
        Figure("clients", f"{last.clients:,}", "connected to this server"),
    ]


def _effect_charts(effect: Sequence[Effect]) -> list[Chart]:
    some = _thinned(effect)
    last = effect[-1] if effect else None
    return [
        Chart(
            "chart-lookups",
            "How many lookups do near caches answer, and how many the store?",
            "/s",
            _data(
                some,
                _series("near cache", "source-near-cache", [each.near for each in some]),
                _series("store", "source-store", [each.store for each in some]),
            ),
            f"Now {last.near:,.0f} and {last.store:,.0f} a second." if last else "",
        ),
        Chart(
            "chart-staleness",
            "How old is the oldest proof that copies are current?",
            "s",
            _data(
                some,
                _series("oldest proof", "level-warning", [each.staleness for each in some]),
                _series("longest lag", "level-bad", [each.lag for each in some]),
            ),
            f"Now {units.duration(last.staleness)}." if last else "",
        ),
    ]


def _health_charts(health: Sequence[Health]) -> list[Chart]:
    some = _thinned(health)
    last = health[-1] if health else None
    charts = [
        Chart(
            "chart-latency",
            "How fast does the database answer the server?",
            "s",
            _data(some, _series("latency", "call-store", [each.latency for each in some])),
            f"Now in {units.duration(last.latency)}." if last and last.latency else "",
        ),
        Chart(
            "chart-memory",
            "How much memory does the database use?",
            "B",
            _data(some, _series("memory", "mode-relevo", [each.memory for each in some])),
            f"Now {units.size(last.memory)}." if last and last.memory else "",
        ),
    ]
    knows_memory = any(each.memory for each in health)
    return charts if knows_memory else charts[:1]


def _data(
    some: Sequence[Effect] | Sequence[Health], *series: Mapping[str, Any]
) -> Mapping[str, Any]:
    """The data of a chart, which shows some time even if there is only one sample."""
    times = [round(each.at, 1) for each in some]
    if times and times[-1] - times[0] < _LEAST:
        times = [times[-1] - _LEAST, *times]
        series = tuple({**each, "values": [None, *each["values"]]} for each in series)
    return {"times": times, "series": list(series)}


def _series(word: str, colour: str, values: Sequence[float | None]) -> Mapping[str, Any]:
    return {
        "word": word,
        "look": colour,
        "values": [None if each is None else float(f"{each:.4g}") for each in values],
    }


def _thinned(samples: Sequence[Any]) -> list[Any]:
    """The samples, or every second, third, … of them, and always the last."""
    step = -(-len(samples) // _POINTS) or 1
    kept = list(samples)
    return kept[::-1][::step][::-1]
