"""`python -m benchmarks.peers`: Get and Put of Relevo, Dapr and etcd, in turns within one run.

Needs Go to build the load generator, and `tests` on the path, as `make peers` sets it. A peer whose
binary is not there is left out; benchmarks/peers/programs.py says how to build one.
"""

import argparse
import os
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from support.redis.process import RedisProcess

from benchmarks import command_line, report
from benchmarks.cores import Cores
from benchmarks.figures import Goal
from benchmarks.peers import contenders, programs
from benchmarks.peers.contenders import Calls, Contender
from benchmarks.scale import usage
from benchmarks.scale.generator import MISSING, Generator, generator, program
from benchmarks.scale.rows import Cell, Row, print_rows, write_json

IN_FLIGHT = (1, 20)
METHODS = ("Get", "Get, cached", "Put")
_ECHO, _MEMORY, _REDIS = "the echo", "Relevo, memory", "Relevo, Redis"
_DAPR, _ETCD = "Dapr", "etcd"
_OURS = frozenset((_MEMORY, _REDIS))
_GOALS = {
    (_MEMORY, "Get", _ECHO): 0.95,
    (_REDIS, "Get", _ECHO): 0.85,
    (_REDIS, "Put", _ECHO): 0.65,
}
"""The calls a second at 20 in flight, at least, as a part of another one's."""


@dataclass
class Taken:
    """The measurements of one contender, method and load, by round."""

    rate: list[float] = field(default_factory=list[float])
    p50: list[float] = field(default_factory=list[float])
    p99: list[float] = field(default_factory=list[float])
    cpu: list[float] = field(default_factory=list[float])


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, metavar="N")
    parser.add_argument("--seconds", type=float, default=0.5, metavar="N", help="of each turn")
    parser.add_argument("--output", type=Path, default=Path("peers.json"), metavar="FILE")
    options = parser.parse_args()
    if MISSING:
        sys.exit(f"the load generator is written in Go. {MISSING}")
    command_line.run(_run(options, command_line.wide_console()))


async def _run(options: argparse.Namespace, console: Console) -> None:
    cores = Cores(bind=True)
    report.print_machine(console, cores)
    program()  # built before anything is measured
    loads = [f"{method}, {in_flight} in flight" for method in METHODS for in_flight in IN_FLIGHT]
    with ExitStack() as stack, command_line.showing_progress("peers", loads) as steps:
        running = _started(stack, cores, console)
        async with generator() as load:
            for name, contender in running.items():
                steps.say(f"{name}, entries are put")
                await _fill(load, contender)
            rows: list[Row] = []
            for method in METHODS:
                for in_flight in IN_FLIGHT:
                    sides = {n: c for n, c in running.items() if method in c.calls}
                    taken = {name: Taken() for name in sides}
                    load_begun = time.monotonic()
                    for i in range(options.rounds):
                        steps.say(f"{method}, {in_flight} in flight, {i + 1} of {options.rounds}")
                        order = list(sides.items())
                        turn = i % len(order)  # the order matters too
                        for name, contender in (*order[turn:], *order[:turn]):
                            calls = contender.calls[method]
                            seconds = options.seconds
                            await _turn(load, contender, calls, in_flight, seconds, taken[name])
                    steps.done(f"{method}, {in_flight} in flight", time.monotonic() - load_begun)
                    rows += _rows(method, in_flight, taken)
                    write_json(options.output, rows)
    print_rows(console, rows)
    console.print(f"The values are in {options.output}.")


def _started(stack: ExitStack, cores: Cores, console: Console) -> Mapping[str, Contender]:
    given = os.environ.get("RELEVO_TEST_REDIS")
    redis = given or stack.enter_context(RedisProcess()).url
    prefix = f"peers-{uuid.uuid4().hex}"
    running = {
        _ECHO: stack.enter_context(contenders.echo(cores)),
        _MEMORY: stack.enter_context(contenders.relevo("memory://", prefix, cores)),
        _REDIS: stack.enter_context(contenders.relevo(redis, prefix, cores)),
    }
    daprd, etcd = programs.found("daprd"), programs.found("etcd")
    if daprd:
        running[_DAPR] = stack.enter_context(contenders.dapr(daprd, redis, cores))
    if etcd:
        running[_ETCD] = stack.enter_context(contenders.etcd(etcd, cores))
    for name, binary in {"daprd": daprd, "etcd": etcd}.items():
        if not binary:
            console.print(
                f"Without {name}: it is not on the PATH, and {name.upper()} names no binary. "
                "benchmarks/peers/programs.py says how to build it."
            )
    return running


async def _fill(load: Generator, contender: Contender) -> None:
    """Put every entry once at least."""
    calls = contender.calls["Put"]
    done: Any = await load.load(calls.target, calls.requests, in_flight=20, seconds=1.0)
    if done["failed"] or done["calls"] < len(calls.requests):
        raise RuntimeError(f"{done['failed']} of {done['calls']} calls failed: {done['problem']}")


async def _turn(
    load: Generator,
    contender: Contender,
    calls: Calls,
    in_flight: int,
    seconds: float,
    taken: Taken,
) -> None:
    before = usage.cpu_seconds(contender.pid)
    done = await load.load(calls.target, calls.requests, in_flight=in_flight, seconds=seconds)
    cpu = usage.cpu_seconds(contender.pid) - before
    if done["failed"]:
        raise RuntimeError(f"{done['failed']} calls failed: {done['problem']}")
    taken.rate.append(done["calls"] / done["seconds"])
    taken.p50.append(done["p50"])
    taken.p99.append(done["p99"])
    taken.cpu.append(cpu / done["calls"] * 1e6)


def _rows(method: str, in_flight: int, taken: Mapping[str, Taken]) -> Sequence[Row]:
    rows: list[Row] = []
    for name, own in taken.items():
        cells = {
            "calls/s": Cell(median(own.rate)),
            "p50": Cell(median(own.p50), "ms"),
            "p99": Cell(median(own.p99), "ms"),
            "CPU": Cell(median(own.cpu), "µs"),
        }
        if name in _OURS:
            for other in (each for each in taken if each not in _OURS):
                ratio = median(a / b for a, b in zip(own.rate, taken[other].rate, strict=True))
                limit = _GOALS.get((name, method, other)) if in_flight > 1 else None
                goal = Goal("ratio", at_least=limit) if limit else None
                cells[f"of {other}"] = Cell(ratio, "", goal)
        rows.append(Row(f"{method}, {in_flight} in flight", name, cells))
    return rows


if __name__ == "__main__":
    main()
