"""The instruments of the meter `relevo_client`, for all clients of a process together.

Counters are read when somebody collects them. Histograms are recorded where I/O took place.
Without an SDK nothing is collected, and a record costs one call that does nothing.
`docs/observability.md` has the table of all instruments.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version

from opentelemetry.metrics import (
    CallbackOptions,
    Histogram,
    Observation,
    get_meter,
    get_meter_provider,
)

from relevo_client._context.sources import ContextSource
from relevo_client._telemetry.caches import CACHES
from relevo_client._telemetry.counts import COUNTS
from relevo_client._telemetry.outcomes import OK

NAME = "relevo_client"
"""The name of the meter and of the tracer."""

SOURCE = "relevo.context.source"
SCOPE = "relevo.context.scope"
OUTCOME = "relevo.outcome"
_CACHE_RESULT = "relevo.cache.result"
_RESET_REASON = "relevo.reset.reason"
_CASE, _FALLBACK = "relevo.fallback.case", "relevo.fallback"
_DIRECTION = "relevo.direction"

_Observed = Iterable[tuple[float, Mapping[str, str]]]
"""Values with their attributes."""

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_BYTES = tuple(float(1 << power) for power in range(7, 23))


def _release() -> str:
    try:
        return version("relevo")
    except PackageNotFoundError:  # a checkout that is not installed
        return "unknown"


RELEASE = _release()
"""The version of the library."""

_meter = get_meter(NAME, RELEASE)


def is_metered() -> bool:
    """Whether the process has an SDK for metrics, so that a value is worth its computation."""
    # The API's own providers record nothing.
    return not type(get_meter_provider()).__module__.startswith("opentelemetry.metrics")


@lru_cache(1024)
def attributes(*pairs: tuple[str, str]) -> Mapping[str, str]:
    """The attributes of a measurement, which is made again and again: one dict for all."""
    return dict(pairs)


def _resolutions() -> _Observed:
    counted = dict(COUNTS.resolutions)
    hit = (ContextSource.NEAR_CACHE.value, OK)
    counted[hit] = CACHES.total("hits")
    for (source, outcome), number in counted.items():
        yield number, attributes((SOURCE, source), (OUTCOME, outcome))


def _lookups() -> _Observed:
    yield CACHES.total("hits"), attributes((_CACHE_RESULT, "hit"))
    yield CACHES.total("misses"), attributes((_CACHE_RESULT, "miss"))


def _tally(counted: Callable[[], Mapping[str, int]], name: str) -> Callable[[], _Observed]:
    def observed() -> _Observed:
        for value, number in dict(counted()).items():
            yield number, attributes((name, value))

    return observed


def _fallbacks() -> _Observed:
    for (case, fallback), number in dict(COUNTS.fallbacks).items():
        yield number, attributes((_CASE, case), (_FALLBACK, fallback))


def _references() -> _Observed:
    for direction, outcome, number in (
        ("sent", "propagated", COUNTS.sent),
        ("sent", "refused", COUNTS.sent_refused),
        ("received", "propagated", COUNTS.received),
        ("received", "ignored", COUNTS.received_ignored),
        ("received", "refused", COUNTS.received_refused),
    ):
        yield number, attributes((_DIRECTION, direction), (OUTCOME, outcome))


def _answers() -> _Observed:
    for direction, outcome, number in (
        ("sent", "propagated", COUNTS.returned),
        ("received", "propagated", COUNTS.heard),
        ("received", "refused", COUNTS.heard_refused),
    ):
        yield number, attributes((_DIRECTION, direction), (OUTCOME, outcome))


def _total(field: str) -> Callable[[], _Observed]:
    return lambda: [(CACHES.total(field), attributes())]


def _sum(field: str) -> Callable[[], _Observed]:
    return lambda: [(sum(getattr(each, field) for each in CACHES.figures()), attributes())]


def _staleness() -> _Observed:
    known = [each.staleness for each in CACHES.figures() if each.staleness is not None]
    return [(max(known), attributes())] if known else []


def _callback(
    observed: Callable[[], _Observed],
) -> Sequence[Callable[[CallbackOptions], Iterable[Observation]]]:
    def callback(_: CallbackOptions) -> Iterable[Observation]:
        return [Observation(value, about) for value, about in observed()]

    return [callback]


for _name, _unit, _description, _observed in (
    ("resolutions", "{resolution}", "Contexts that were asked for", _resolutions),
    ("near_cache.lookups", "{lookup}", "Lookups of near caches", _lookups),
    ("near_cache.evictions", "{entry}", "Entries evicted for room", _total("evictions")),
    ("near_cache.pushes", "{event}", "Events that the store has pushed", _total("pushes")),
    ("watch.reconnects", "{stream}", "Watch streams after a cache's first", _total("reconnects")),
    (
        *("watch.resets", "{reset}", "Partitions whose copies had to be verified"),
        _tally(lambda: COUNTS.resets, _RESET_REASON),
    ),
    ("fallbacks", "{call}", "Calls and actions without their context", _fallbacks),
    (
        *("creations", "{creation}", "Calls of factories and loaders"),
        _tally(lambda: COUNTS.creations, OUTCOME),
    ),
    (
        *("snapshots", "{snapshot}", "Snapshots that turns have stored"),
        _tally(lambda: COUNTS.snapshots, OUTCOME),
    ),
    ("references", "{reference}", "References that went out or came in", _references),
    ("answers", "{answer}", "Answers with a newer revision, sent or received", _answers),
    (
        *("riders", "{rider}", "Snapshots that went out or came in with references"),
        _tally(lambda: COUNTS.riders, OUTCOME),
    ),
    (
        *("sampler.checks", "{check}", "Near-cache answers compared with the store"),
        _tally(lambda: COUNTS.sampler_checks, OUTCOME),
    ),
):
    _meter.create_observable_counter(
        f"relevo.client.{_name}", _callback(_observed), _unit, _description
    )

for _name, _unit, _description, _field in (
    ("near_cache.entries", "{entry}", "Cached entries", "entries"),
    ("near_cache.size", "By", "Size of the cached entries", "size"),
    ("watch.connected", "{stream}", "Live Watch streams", "is_connected"),
):
    _meter.create_observable_up_down_counter(
        f"relevo.client.{_name}", _callback(_sum(_field)), _unit, _description
    )

_meter.create_observable_gauge(
    "relevo.client.near_cache.staleness",
    _callback(_staleness),
    "s",
    "Time since the last proof that copies are current, the greatest of all caches",
)


def _histogram(name: str, unit: str, description: str, buckets: Sequence[float]) -> Histogram:
    return _meter.create_histogram(
        f"relevo.client.{name}", unit, description, explicit_bucket_boundaries_advisory=buckets
    )


RESOLUTION_DURATION = _histogram(
    "resolution.duration", "s", "Duration of resolutions that needed I/O", _SECONDS
)
LEASE_WAIT_DURATION = _histogram(
    "lease.wait.duration", "s", "Duration of waits for leases", _SECONDS
)
CONTEXT_SIZE = _histogram("context.size", "By", "Size of each context that was received", _BYTES)
