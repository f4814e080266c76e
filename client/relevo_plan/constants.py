"""The costs in `measured.toml`, the one place of all figures that plans stand on."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from typing import Any

_FACTORS = {
    "": 1.0,
    "s": 1.0,
    "ms": 1e-3,
    "µs": 1e-6,
    "µs/s": 1e-6,
    "B": 1.0,
    "KiB": 1024.0,
    "MiB": 1024.0**2,
}
"""The units of the file, in seconds, bytes, or seconds of CPU a second."""


@dataclass(frozen=True)
class Source:
    """The source of a figure."""

    command: str
    """The command that measures it; "" if no command does."""
    commit: str
    """The commit that was measured; "" if none was."""
    date: str
    """The day of the measurement; "" if there was none."""
    note: str
    """The machine, or what the figure stands on if it was not measured."""

    @property
    def is_measured(self) -> bool:
        """Whether a command measures it."""
        return bool(self.command)


@dataclass(frozen=True)
class Constant:
    """One figure."""

    name: str
    value: float
    """In `unit`."""
    unit: str
    what: str
    source: Source


@dataclass(frozen=True)
class Point:
    """A measurement that the simulation has to reproduce."""

    name: str
    scenario: str
    """The scenario that is simulated: a name of `points`."""
    setup: Mapping[str, Any]
    """The arguments of the scenario."""
    measured: Mapping[str, float]
    """Seconds, or calls a second, by the names of the scenario's results."""
    source: Source


@dataclass(frozen=True)
class Costs:
    """All constants, by name: times in seconds, memory in bytes. `measured.toml` describes each."""

    get_strong: float
    get_cached: float
    put: float
    snapshot: float
    answer: float
    open_stream: float
    idle_stream: float
    push: float
    push_queueing: float
    push_delay: float
    read_value: float
    sign_burst: float
    poll: float
    event: float
    follow: float

    redis_get: float
    redis_put: float
    redis_poll: float
    redis_event: float
    redis_follow: float
    follow_calls: float

    cache_entry: float
    timer: float
    loopback: float
    network: float
    variation: float

    entry_overhead: float
    log_event: float
    request_record: float
    connection_memory: float
    stream_memory: float
    server_memory: float
    near_cache_factor: float
    push_bytes: float
    sign_bytes: float
    compression: float

    partitions: float
    log_connections: float
    pool_connections: float
    log_length: float
    request_id_ttl: float
    conversation_ttl: float
    cache_max_entries: float
    cache_max_bytes: float
    server_caches: float
    rider_bytes: float
    slice: float
    slice_pause: float
    first_pause: float


@dataclass(frozen=True)
class Measured:
    """The content of the file."""

    constants: Sequence[Constant]
    points: Sequence[Point]

    def costs(self) -> Costs:
        """The constants, in seconds and bytes."""
        return Costs(**{each.name: each.value * _FACTORS[each.unit] for each in self.constants})


@cache
def measured() -> Measured:
    """The figures of this version."""
    return parse((files("relevo_plan") / "measured.toml").read_text("utf-8"))


def parse(text: str) -> Measured:
    """Read the text of such a file. Raises ValueError that names what is wrong."""
    content = tomllib.loads(text)
    sources = {
        name: Source(*(str(given.get(each.name, "")) for each in fields(Source)))
        for name, given in content["sources"].items()
    }
    constants = _constants(content["constants"], sources)
    names, expected = {each.name for each in constants}, {each.name for each in fields(Costs)}
    if names != expected:
        raise ValueError(f"missing or unknown: {', '.join(sorted(names ^ expected))}")
    return Measured(constants, [_point(each, sources) for each in content["points"]])


def _constants(table: Mapping[str, Any], sources: Mapping[str, Source]) -> Sequence[Constant]:
    found: list[Constant] = []
    for name, given in table.items():
        if given["unit"] not in _FACTORS:
            raise ValueError(f"{name}: has an unknown unit")
        source = _source(name, given["source"], sources)
        value = float(given["value"])
        found.append(Constant(name, value, given["unit"], given["what"], source))
    return found


def _point(given: Mapping[str, Any], sources: Mapping[str, Source]) -> Point:
    name, scenario, setup, results = (
        given[each] for each in ("name", "scenario", "setup", "measured")
    )
    return Point(name, scenario, setup, results, _source(name, given["source"], sources))


def _source(name: str, source: str, sources: Mapping[str, Source]) -> Source:
    if source not in sources:
        raise ValueError(f"{name}: has an unknown source")
    return sources[source]
