"""The tables of `relevo plan`, 100 columns wide at most."""

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence

from relevo_look import units
from relevo_plan.constants import Measured, Source
from relevo_plan.fleet import Simulated
from relevo_plan.limits import TURNS, Limit
from relevo_plan.sizing import Sizing

from relevo_cli import terminal
from relevo_cli.tables import Column, pairs, table

_WIDTH = 100
_NEAR = 0.8
"""The share of a limit from which on it is marked."""


def of_plan(
    sizing: Sizing, limits: Sequence[Limit], cells: int | None, simulated: Simulated | None
) -> Iterator[str]:
    """The lines of a plan. `cells` is the number of stores that suffice, if it is known."""
    yield from pairs(list(_needs(sizing, cells)), _width())
    yield ""
    yield from _shares("CPU OF SERVERS", "CORES", sizing.cpu, "{:.2f}".format)
    yield ""
    yield from _shares("MEMORY OF REDIS", "SIZE", sizing.redis.memory, units.size)
    yield ""
    yield from _limits(limits)
    yield ""
    yield from _advice(sizing, limits)
    if simulated:
        yield ""
        yield from _simulated(simulated)


def of_constants(measured: Measured) -> Iterator[str]:
    """The lines of the table of constants."""
    heads = (Column("CONSTANT"), Column("VALUE", is_number=True), Column("UNIT"),
             Column("FROM"), Column("WHAT"))  # fmt: skip
    rows = [
        [each.name, number(each.value), each.unit, origin(each.source), each.what]
        for each in measured.constants
    ]
    return iter(table(heads, rows, terminal.width()))


def origin(source: Source) -> str:
    """The source of a figure as a text."""
    if not source.is_measured:
        return source.note
    return f"{source.command}, {source.date}, {source.commit}".rstrip(", ")


def number(value: float) -> str:
    """A number with the digits that matter."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _width() -> int:
    return min(terminal.width() or _WIDTH, _WIDTH)


def _needs(sizing: Sizing, cells: int | None) -> Iterator[tuple[str, str]]:
    redis, rates = sizing.redis, sizing.demand
    if sizing.is_possible:
        per_server = sizing.workers // sizing.servers
        yield (
            "servers",
            f"{sizing.servers:,} with {_count(per_server, 'worker')} each; one may be lost",
        )
        yield "memory", f"{units.size(sizing.server_memory)} for each server"
    else:
        yield "servers", "no number suffices: to follow the logs alone keeps each worker busy"
        if cells:
            each = sizing.workload.conversations // cells
            yield (
                "cells",
                f"{cells:,} stores suffice, with servers for {each:,} conversations each",
            )
    store = f"{redis.cpu:.2f} cores, {units.size(redis.bytes)}, {redis.connections:,} connections"
    yield "Redis", f"{_count(redis.nodes, 'node')}: {store}, {number(redis.calls)} commands/s"
    per_worker = number(sizing.streams_per_worker)
    yield "clients", f"{sizing.connections:,} connections with a stream each, {per_worker} a worker"
    asked = f"{number(rates.reads)} Gets, {number(rates.snapshots)} Snapshots, "
    written = f"{number(rates.puts)} Puts, {number(rates.subscriptions)} subscriptions"
    yield "calls a second", asked + written
    told = f"{number(rates.changes)}/s to {number(rates.holders)} processes each"
    last = units.duration(sizing.told_within)
    yield "changes", f"{told}: {number(rates.pushes)} messages/s, the last is told within {last}"
    riding = f"{_bits(rates.ride_bytes)} of riders" if rates.rides else "snapshots do not ride"
    yield "network", f"each server sends {_bits(sizing.out_bytes)}; between services {riding}"
    cached = f"{units.size(sizing.near_cache_memory)} for {number(rates.copies)} entries"
    yield "near caches", f"{cached}, in a process that begins turns"


def _shares(
    title: str, unit: str, parts: Mapping[str, float], shown: Callable[[float], str]
) -> Iterator[str]:
    whole = sum(parts.values())
    rows = [
        [name, shown(part), units.percent(part, whole)]
        for name, part in sorted(parts.items(), key=lambda each: -each[1])
    ]
    heads = (Column(title), Column(unit, is_number=True), Column("SHARE", is_number=True))
    yield from table(heads, rows, _width())


def _limits(limits: Sequence[Limit]) -> Iterator[str]:
    heads = (
        Column("LIMIT"),
        Column("USED", is_number=True),
        Column("OF", is_number=True),
        Column("SHARE", is_number=True),
    )
    rows = [
        [each.name, _amount(each.used, each.unit), _amount(each.limit, each.unit),
         units.percent(each.used, each.limit)]
        for each in limits
    ]  # fmt: skip
    head, *lines = table(heads, rows, _width())
    yield head
    for line, each in zip(lines, limits, strict=True):
        if each.share >= 1:
            yield terminal.painted(line, "red")
        else:
            yield terminal.painted(line, "yellow") if each.share >= _NEAR else line


def _advice(sizing: Sizing, limits: Sequence[Limit]) -> Iterator[str]:
    most = max(sizing.cpu, key=sizing.cpu.__getitem__)
    rows = [("servers are busy with", most), ("to turn", TURNS[most])]
    first = limits[0]
    rows += [("the first limit is", first.name), ("to turn", first.turn)]
    for name, text in rows:
        yield from _wrapped(name, text)


def _wrapped(name: str, text: str) -> Iterator[str]:
    """A name, and a text in as many lines as it needs."""
    indent = 23
    lines = textwrap.wrap(text, _width() - indent)
    for i, line in enumerate(lines):
        yield f"{'' if i else name:{indent}}{line}"


def _simulated(simulated: Simulated) -> Iterator[str]:
    heads = (Column("SIMULATED"), Column("P50", is_number=True), Column("P99", is_number=True))
    rows = [
        [name, units.duration(times.p50), units.duration(times.p99)]
        for name, times in simulated.load.times.items()
    ]
    yield from table(heads, rows, _width())
    busy, redis = simulated.load.busy, simulated.load.redis_busy
    yield f"the busiest worker is busy for {busy:.0%} of the time, Redis for {redis:.0%}"
    lost = simulated.loss
    yield (
        f"a server is lost: all near caches are current after {units.duration(lost.current)}; "
        f"p99 of Gets {units.duration(lost.meanwhile.p99)}, else {units.duration(lost.quiet.p99)}"
    )


def _amount(value: float, unit: str) -> str:
    match unit:
        case "B":
            return units.size(value)
        case "B/s":
            return _bits(value)
        case "s":
            return units.duration(value)
        case _:
            return f"{number(value)} {unit}".rstrip()


def _bits(bytes_a_second: float) -> str:
    """A rate as networks have it: `12 Mbit/s`."""
    bits = bytes_a_second * 8
    for factor, unit in ((1e9, "Gbit/s"), (1e6, "Mbit/s")):
        if bits >= factor:
            return f"{number(bits / factor)} {unit}"
    return f"{number(bits / 1e3)} kbit/s"


def _count(value: int, noun: str) -> str:
    return f"{value:,} {noun}{'' if value == 1 else 's'}"
