"""`relevo serve --workers`: calls a second of two workers against one, and a worker that is killed.

The load generator and Redis need CPU too, and are not bound to cores of their own here: all share
the machine. So the ratio says less than on a machine that has cores to spare, and the CPU for each
call says more. Calls are Gets from Redis and Gets from the server's memory, on 32 connections.

`lost` are calls that failed three times in a row while a worker was killed; `retried` are those
that succeeded at the second or third try.
"""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import islice
from statistics import median
from typing import Any

import psutil
from relevo.v1.store_pb2 import Consistency
from relevo_server.settings import Settings
from support.servers.process import RelevoProcess, relevo_serve
from support.waiting import until

from benchmarks import samples
from benchmarks.calls import fill, path
from benchmarks.figures import Goal
from benchmarks.scale import usage
from benchmarks.scale.generator import Generator, Target, generator
from benchmarks.scale.rows import Cell, Row
from benchmarks.scale.scene import ENVIRONMENT, Scene

_ROUNDS = 3
_SECONDS = 3.0
_CONNECTIONS, _IN_FLIGHT = 32, 64
_TIMES_AS_FAST = 1.7
_REQUESTS: dict[str, Callable[[], Iterator[bytes]]] = {
    "Get from Redis": samples.get_requests,
    "Get from memory": partial(samples.get_requests, consistency=Consistency.CONSISTENCY_CACHED),
}


async def measure(scene: Scene) -> AsyncGenerator[Row, None]:
    """A row for each kind of call, and one for a worker that is killed."""
    if "workers" not in Settings.model_fields:
        return  # this server has no workers
    with ExitStack() as stack:
        stack.enter_context(scene.cores.unbound())
        store = scene.new_store()
        one, two = (
            stack.enter_context(relevo_serve(*store, *flags, environment=ENVIRONMENT, fresh=True))
            for flags in ((), ("--workers", "2"))
        )
        until(lambda: two.events("workers.started"), within=60, what="all workers")
        async with generator() as load:
            await fill(one.address)
            for name, requests in _REQUESTS.items():
                yield await _compare(scene, load, name, one, two, list(islice(requests(), 64)))
            yield await _kill(scene, load, two)


async def _compare(
    scene: Scene,
    load: Generator,
    name: str,
    one: RelevoProcess,
    two: RelevoProcess,
    requests: Sequence[bytes],
) -> Row:
    rates: dict[str, list[float]] = {"one": [], "two": []}
    costs: dict[str, list[float]] = {"one": [], "two": []}
    for i in range(_ROUNDS):
        for side, server in {"one": one, "two": two}.items():
            scene.say(f"workers, {name}, {side}, round {i + 1} of {_ROUNDS}")
            before = _cpu(server)
            done = await _load(load, server, requests, _SECONDS * scene.part)
            rates[side].append(done["calls"] / done["seconds"])
            costs[side].append((_cpu(server) - before) / done["calls"] * 1e6)
    ratio = median(b / a for a, b in zip(rates["one"], rates["two"], strict=True))
    return Row(
        "Workers",
        name,
        {
            "one": Cell(median(rates["one"]), "/s"),
            "two": Cell(median(rates["two"]), "/s"),
            "ratio": Cell(ratio, "", Goal("ratio", at_least=_TIMES_AS_FAST)),
            "CPU of one": Cell(median(costs["one"]), "µs"),
            "CPU of two": Cell(median(costs["two"]), "µs"),
        },
    )


async def _kill(scene: Scene, load: Generator, server: RelevoProcess) -> Row:
    """Kill a worker under load."""
    scene.say("workers, one is killed")
    requests = list(islice(samples.get_requests(), 64))
    seconds = _SECONDS * scene.part

    async def kill() -> None:
        victim = psutil.Process(server.process.pid).children()[0]
        await asyncio.sleep(seconds / 3)
        os.kill(victim.pid, signal.SIGKILL)

    killing = asyncio.ensure_future(kill())
    done = await _load(load, server, requests, seconds, tries=3)
    await killing
    return Row(
        "Workers",
        "Get from Redis, a worker is killed",
        {
            "calls": Cell(done["calls"]),
            "retried": Cell(done["retried"]),
            "lost": Cell(done["failed"], "", Goal("lost", at_most=0)),
        },
        [done["problem"]] if done["problem"] else (),
    )


async def _load(
    load: Generator,
    server: RelevoProcess,
    requests: Sequence[bytes],
    seconds: float,
    tries: int = 1,
) -> Any:
    return await load.load(
        Target(server.address, path("Get")),
        requests,
        in_flight=_IN_FLIGHT,
        seconds=seconds,
        connections=_CONNECTIONS,
        tries=tries,
    )


def _cpu(server: RelevoProcess) -> float:
    """The CPU seconds of a server and its workers."""
    process = psutil.Process(server.process.pid)
    return sum(usage.cpu_seconds(each.pid) for each in (process, *process.children()))
