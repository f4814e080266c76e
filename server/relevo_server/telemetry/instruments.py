"""Every instrument of a server, and how they are registered. docs/observability.md has the same.

Names and buckets follow OpenTelemetry's semantic conventions for RPC, databases and processes.
Their smallest buckets are smaller here: most calls and operations take less than a millisecond.
"""

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import NamedTuple, TypeAlias

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from relevo_server.telemetry.histograms import Histogram

METER = "relevo_server"
Value: TypeAlias = float | Mapping[str, float] | None
"""A value, values by their attribute, or None if it is not known."""
Read: TypeAlias = Callable[[], Value]


class Kind(Enum):
    """The kind of an observable instrument."""

    COUNTER = "counter"
    UP_DOWN_COUNTER = "up-down counter"
    GAUGE = "gauge"


class Instrument(NamedTuple):
    """An observable instrument. `attribute` is the name of its attribute, "" for none."""

    name: str
    kind: Kind
    unit: str
    description: str
    attribute: str = ""


_COUNTER, _UP_DOWN, _GAUGE = Kind.COUNTER, Kind.UP_DOWN_COUNTER, Kind.GAUGE

INSTRUMENTS = (
    Instrument("relevo.server.workers", _UP_DOWN, "{process}", "Processes that serve calls"),
    Instrument(
        "relevo.server.worker.restarts",
        _COUNTER,
        "{restart}",
        "Workers that died and were replaced",
    ),
    Instrument("relevo.server.active_calls", _UP_DOWN, "{call}", "Calls in progress"),
    Instrument("relevo.server.unsent.size", _UP_DOWN, "By", "Large answers that are not sent yet"),
    Instrument("relevo.server.watchers", _UP_DOWN, "{stream}", "Open Watch streams"),
    Instrument(
        "relevo.server.subscriptions", _UP_DOWN, "{subscription}", "Subscriptions of all streams"
    ),
    Instrument("relevo.server.outbox.size", _UP_DOWN, "By", "What waits to be sent to watchers"),
    Instrument(
        "relevo.server.watch.events", _COUNTER, "{event}", "Events published, once per watcher"
    ),
    Instrument(
        *("relevo.server.watch.resets", _COUNTER, "{reset}", "Partitions of streams reset"),
        attribute="relevo.reset.reason",
    ),
    Instrument(
        "relevo.server.followers", _UP_DOWN, "{partition}", "Partitions whose log is followed"
    ),
    Instrument(
        *("relevo.server.follower.lag", _GAUGE, "s"),
        description="Time since a log was last read to its end; the greatest of all followers",
    ),
    Instrument(
        *("relevo.server.leases", _COUNTER, "{lease}", "Lease and Release calls"),
        attribute="relevo.outcome",
    ),
    Instrument("relevo.server.lease.waiters", _UP_DOWN, "{call}", "Lease calls that wait"),
    Instrument(
        *("relevo.server.quota.refusals", _COUNTER, "{refusal}", "Refusals of quotas"),
        attribute="relevo.quota",
    ),
    Instrument(
        *("relevo.server.cache.lookups", _COUNTER, "{lookup}", "Reads with CONSISTENCY_CACHED"),
        attribute="relevo.cache.result",
    ),
    Instrument("relevo.server.cache.entries", _UP_DOWN, "{entry}", "Entries in memory"),
    Instrument("relevo.server.cache.size", _UP_DOWN, "By", "What the entries in memory take"),
    Instrument(
        *("relevo.server.audit.records", _COUNTER, "{record}", "Audit records"),
        attribute="relevo.audit.event",
    ),
    Instrument(
        *("relevo.server.audit.dropped", _COUNTER, "{record}", "Audit records that were lost"),
        attribute="relevo.audit.sink",
    ),
    Instrument(
        "relevo.server.store.available", _GAUGE, "{store}", "1 if the store answers, else 0"
    ),
    Instrument("relevo.server.store.log.length", _GAUGE, "{event}", "Events in the longest log"),
    Instrument("relevo.server.store.entries", _UP_DOWN, "{entry}", "Entries in the store"),
    Instrument("relevo.server.store.size", _UP_DOWN, "By", "What the database uses"),
    Instrument("relevo.server.store.max_size", _UP_DOWN, "By", "What the database may use"),
    Instrument("process.cpu.time", _COUNTER, "s", "CPU time of the process", attribute="cpu.mode"),
    Instrument("process.memory.usage", _UP_DOWN, "By", "Resident memory of the process"),
    Instrument(
        "process.unix.file_descriptor.count", _UP_DOWN, "{file_descriptor}", "Its open files"
    ),
    Instrument("process.thread.count", _UP_DOWN, "{thread}", "Its threads"),
    Instrument("process.uptime", _GAUGE, "s", "Time since it started"),
)
"""The observable instruments."""


def calls() -> Histogram:
    """The durations of RPCs."""
    bounds = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25,
              0.5, 0.75, 1, 2.5, 5, 7.5, 10)  # fmt: skip
    return Histogram("rpc.server.call.duration", "Duration of RPCs", bounds)


def operations() -> Histogram:
    """The durations of the store's operations."""
    bounds = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10)
    return Histogram("db.client.operation.duration", "Duration of the store's operations", bounds)


def observe(meter: Meter, reads: Mapping[str, Read]) -> None:
    """Register every observable instrument. `reads` has what reads each, by its name.

    Raises ValueError if `reads` lacks one or has another.
    """
    create = {
        Kind.COUNTER: meter.create_observable_counter,
        Kind.UP_DOWN_COUNTER: meter.create_observable_up_down_counter,
        Kind.GAUGE: meter.create_observable_gauge,
    }
    different = {each.name for each in INSTRUMENTS} ^ reads.keys()
    if different:
        raise ValueError(f"not an instrument, or not read: {', '.join(sorted(different))}")
    for name, kind, unit, description, attribute in INSTRUMENTS:
        create[kind](name, [_callback(reads[name], attribute)], unit, description)


def _callback(read: Read, attribute: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def callback(_: CallbackOptions) -> Iterable[Observation]:
        value = read()
        if isinstance(value, Mapping):
            return [Observation(each, {attribute: name}) for name, each in list(value.items())]
        return [] if value is None else [Observation(value)]

    return callback
