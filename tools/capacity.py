"""Write the tables of docs/capacity.md anew from what `relevo plan` calculates and simulates.

    python tools/capacity.py [--check]

Each table is between `<!-- NAME -->` and `<!-- end -->`. With `--check` nothing is written, and the
command fails if a table differs.
"""

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from relevo_cli.plan_lines import number, origin
from relevo_look import units
from relevo_plan.cells import cell, needed
from relevo_plan.constants import Costs, measured
from relevo_plan.limits import limits
from relevo_plan.points import simulated
from relevo_plan.simulation.questions import Load, Outcome, Times, doubled, lose, play
from relevo_plan.sizing import Sizing, size
from relevo_plan.workload import PRESETS

PAGE = Path(__file__).parents[1] / "docs" / "capacity.md"
COMMAND = "make capacity"
_BLOCK = re.compile(r"(<!-- (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_WATCHERS = 10_000
_WRITES = 1_000.0
_GETS = 500.0
_NODES = 4
"""Nodes of Redis: one is too few for so many workers that each read every event."""

_BUSY = 0.75
"""The most that a worker may be busy for this load."""

Rows = Sequence[Sequence[str]]


def page(text: str, only: Sequence[str] = ()) -> str:
    """The page with its tables anew; only those with these names, if there are any."""

    def block(found: re.Match[str]) -> str:
        name = found[2]
        if only and name not in only:
            return found[0]
        return f"{found[1]}{_TABLES[name]()}{found[3]}"

    return _BLOCK.sub(block, text)


def _table(heads: Sequence[str], rows: Rows) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _constants() -> str:
    rows = [
        [f"`{each.name}`", f"{number(each.value)} {each.unit}".rstrip(), each.what,
         origin(each.source)]
        for each in measured().constants
    ]  # fmt: skip
    return _table(["constant", "value", "what", "from"], rows)


def _points() -> str:
    rows: list[list[str]] = []
    for point in measured().points:
        model = simulated(point, measured().costs())
        for name, value in point.measured.items():
            ratio = f"{model[name] / value:.2f}"
            rows.append([point.name, name, _shown(name, value), _shown(name, model[name]), ratio])
    return _table(["", "", "measured", "simulated", "ratio"], rows)


def _shown(name: str, value: float) -> str:
    return f"{value:,.0f}/s" if name == "rate" else units.duration(value)


def _plans() -> str:
    plans = [_plan(name) for name in PRESETS]
    cells = [str(needed(each, measured().costs())) for each in PRESETS.values()]

    def row(name: str, shown: Callable[[Sizing], str]) -> list[str]:
        return [name, *(shown(each) for each in plans)]

    rows = [
        row("turns a second, of each store", lambda plan: number(plan.workload.turns_per_second)),
        row("processes, of each store", lambda plan: f"{plan.workload.processes:,}"),
        ["stores, each with a part of the tenants", *cells],
        row("servers of 4 cores for each, with one to spare", lambda plan: f"{plan.servers:,}"),
        row("cores that servers use", lambda plan: number(sum(plan.cpu.values()))),
        row("most of it for", lambda plan: max(plan.cpu, key=plan.cpu.__getitem__)),
        row("Redis: nodes", lambda plan: f"{plan.redis.nodes:,}"),
        row("Redis: cores", lambda plan: number(plan.redis.cpu)),
        row("Redis: memory", lambda plan: units.size(plan.redis.bytes)),
        row("Redis: commands a second", lambda plan: number(plan.redis.calls)),
        row("Redis: connections", lambda plan: f"{plan.redis.connections:,}"),
        row("messages to near caches a second", lambda plan: number(plan.demand.pushes)),
        row("a near cache of the first service", lambda plan: units.size(plan.near_cache_memory)),
        row("a server's memory", lambda plan: units.size(plan.server_memory)),
    ]
    return _table(["", *(f"`--preset {name}`" for name in PRESETS)], rows)


def _limits() -> str:
    costs = measured().costs()
    rows = [
        [f"`{name}`", each.name, units.percent(each.used, each.limit), each.turn]
        for name in PRESETS
        for each in limits(_plan(name), costs)[:3]
    ]
    return _table(["", "limit", "used", "what to turn"], rows)


def _plan(preset: str) -> Sizing:
    """The plan of a preset; if one store is not enough, of one of its cells."""
    workload, costs = PRESETS[preset], measured().costs()
    return size(cell(workload, needed(workload, costs) or 1), costs)


def _questions() -> str:
    costs = measured().costs()
    rows = [[question, answer] for question, answer in _answers(costs)]
    return _table(["question", "answer of the model"], rows)


def _answers(costs: Costs) -> Iterator[tuple[str, str]]:
    keys = Load(1, _NODES, streams=_WATCHERS, gets=_GETS, puts=_WRITES)
    needed = 1
    while play(costs, replace(keys, workers=needed), seconds=2.0).busy > _BUSY:
        needed += 1
    for workers in (needed, 2 * needed):
        outcome = play(costs, replace(keys, workers=workers), seconds=2.0)
        asked = f"{_WATCHERS:,} watchers of a key each, {_WRITES:,.0f} writes/s, {workers} workers"
        busy = f"workers are busy for {outcome.busy * 100:.0f} % of the time"
        redis = f"the {_NODES} nodes of Redis for {outcome.redis_busy * 100:.0f} %"
        yield asked, f"{_both(outcome)}; {busy}, {redis}"
    hot = Load(needed, _NODES, streams=_WATCHERS, gets=_GETS, changes=1.0, holders=_WATCHERS)
    outcome = play(costs, hot, seconds=10.0)
    yield f"{_WATCHERS:,} watchers of one key, one write/s, {needed} workers", _both(outcome)
    for entries in (1, 100):
        lost = lose(costs, streams=_WATCHERS, entries=entries, workers=needed, gets=_GETS)
        herd = f"{_WATCHERS:,} near caches with {entries} entries each"
        others = f"p99 of others' Gets {_p99(lost.meanwhile)}, else {_p99(lost.quiet)}"
        current = f"all are current after {units.duration(lost.current)}"
        yield f"{herd} come back to {needed} workers", f"{current}; {others}"
    yield (
        "how busy may a worker be until the p99 of a Get has doubled",
        f"{doubled(costs) * 100:.0f} % of its core",
    )


def _both(outcome: Outcome) -> str:
    push, get = outcome.times["push"], outcome.times["Get"]
    return f"p99 of a change {_p99(push)}, of a Get {_p99(get)}"


def _p99(times: Times) -> str:
    return units.duration(times.p99)


_TABLES: Mapping[str, Callable[[], str]] = {
    "constants": _constants,
    "points": _points,
    "plans": _plans,
    "limits": _limits,
    "questions": _questions,
}


def main(arguments: Sequence[str]) -> int:
    """Write the page, or compare it. Returns the exit code."""
    before = PAGE.read_text("utf-8")
    after = page(before)
    if "--check" in arguments:
        if after != before:
            print(f"docs/capacity.md differs from what is calculated: run `{COMMAND}`")
            return 1
        return 0
    PAGE.write_text(after, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
