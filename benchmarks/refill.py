"""Refills of a near cache: their duration, and their cost for Redis and other clients.

Measured four times: after the cache has subscribed to all entries; after a first use of all;
after a new Put of every entry; and after a restart of the server. The figures are the seconds
until the cache has all values; the resets; the bytes that Redis sent, relative to the size of
the contexts and including the Gets of the uses; and the p99 of another client's Gets during
the refill, against the same on the idle server just before.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from statistics import median, quantiles
from typing import Any, NamedTuple

from relevo.v1.context_pb2 import ContextKey, ExecutionContext
from relevo.v1.store_pb2 import GetRequest, PutRequest
from relevo_client import ContextKey as Name
from support.clients.calls import Stub
from support.contexts import of_size
from support.network.ports import ReservedPort
from support.servers.serving import stub_of

from benchmarks import servers
from benchmarks.figures import Figure, Goal, paired
from benchmarks.run import Run
from benchmarks.workers import Worker, workers

SIZES = {"200 x 100 KiB": (200, 100), "2,000 x 12 KiB": (2000, 12), "10,000 x 1 KiB": (10_000, 1)}
_ROUNDS = 3
_AT_A_TIME = 32
_IDLE = 1.0
_PAUSE = 0.002
_FEWEST = 200
_LONGEST, _MOST_BYTES, _TIMES_AS_LONG = 5.0, 1.5, 2.0
_OTHER = ContextKey(scope="conversation", tenant_id="globex", id="other")


class Taken(NamedTuple):
    """The measurements of one refill."""

    seconds: float
    resets: float
    bytes: float
    """The bytes that Redis sent, as a multiple of the contexts' size."""
    p99: float
    idle_p99: float


async def measure(run: Run) -> list[Figure]:
    """The figures of each size and each kind of refill."""
    figures: list[Figure] = []
    for name, (number, kibibytes) in SIZES.items():
        taken: defaultdict[str, list[Taken]] = defaultdict(list)
        for i in range(min(_ROUNDS, run.schedule.rounds)):
            run.schedule.say(f"Refill, {name}, round {i + 1}")
            for after, each in (await _round(run, number, kibibytes << 10)).items():
                taken[after].append(each)
        for after, results in taken.items():
            figures += _figures(f"Refill/{name}/{after}", results)
    return figures


async def _round(run: Run, number: int, size: int) -> dict[str, Taken]:
    names = [Name("conversation", "acme", f"{i:06}") for i in range(number)]
    texts = [name.text for name in names]
    taken: dict[str, Taken] = {}

    def sent() -> float:
        count: int = run.redis_client("INFO", "stats")["total_net_output_bytes"]
        return count / (number * size)

    async def refill(worker: Worker, mark: str, stub: Stub) -> Taken:
        idle = await _gets(stub, asyncio.create_task(asyncio.sleep(_IDLE)))
        before = sent()
        filling = asyncio.create_task(worker.call("learn", mark))
        busy = await _gets(stub, filling)
        seconds, resets = await filling
        return Taken(seconds, resets, sent() - before, busy, idle)

    with ReservedPort() as port:
        listen = f"127.0.0.1:{port.number}"
        async with workers("benchmarks.refiller", 2) as (worker, user):
            with servers.relevo(run.redis, run.prefix, run.cores, listen=listen):
                async with stub_of(listen) as stub:
                    await stub.Put(PutRequest(key=_OTHER, context=ExecutionContext()))
                    await _put(stub, names, size, "first")
                    await worker.call("open", listen, texts)
                    taken["subscribed"] = await refill(worker, "first", stub)
                    await _put(stub, names, size, "again")
                    before = sent()
                    await user.call("open", listen, texts)
                    await user.call("use")
                    used = await refill(user, "again", stub)
                    taken["first use"] = used._replace(bytes=sent() - before)
                    await user.call("close")
                    before = sent()
                    await _put(stub, names, size, "anew")
                    await worker.call("use")
                    anew = await refill(worker, "anew", stub)
                    taken["put anew"] = anew._replace(bytes=sent() - before)
            await worker.call("lose")
            with servers.relevo(run.redis, run.prefix, run.cores, listen=listen):
                async with stub_of(listen) as stub:
                    taken["restart"] = await refill(worker, "anew", stub)
            await worker.call("close")
    return taken


async def _gets(stub: Stub, meanwhile: "asyncio.Future[Any]") -> float:
    """Run another client's Gets sequentially until `meanwhile` is done: their p99 in ms."""
    latencies: list[float] = []
    while not meanwhile.done() or len(latencies) < _FEWEST:
        start = time.perf_counter()
        await stub.Get(GetRequest(key=_OTHER))
        latencies.append(time.perf_counter() - start)
        await asyncio.sleep(_PAUSE)
    return quantiles(latencies, n=100, method="inclusive")[98] * 1e3


async def _put(stub: Stub, names: Sequence[Name], size: int, mark: str) -> None:
    context = ExecutionContext(user_id=mark)
    context.MergeFrom(of_size(size - context.ByteSize()))
    keys = iter(names)

    async def one_after_another() -> None:
        for name in keys:
            await stub.Put(PutRequest(key=name.to_message(), context=context))

    async with asyncio.TaskGroup() as group:
        for _ in range(_AT_A_TIME):
            group.create_task(one_after_another())


def _figures(name: str, taken: Sequence[Taken]) -> list[Figure]:
    def at_most(quantity: str, unit: str, limit: float) -> Figure:
        values = [float(getattr(each, quantity)) for each in taken]
        spread = (max(values) - min(values)) / 2 / (median(values) or 1)
        goal = Goal(quantity, at_most=limit)
        return Figure(f"{name}/{quantity}", median(values), unit, spread, goal=goal)

    return [
        at_most("seconds", "s", _LONGEST),
        at_most("resets", "", 0),
        at_most("bytes", "x size", _MOST_BYTES),
        paired(
            f"{name}/other p99",
            "ms",
            [each.p99 for each in taken],
            [each.idle_p99 for each in taken],
            Goal("p99", at_most=_TIMES_AS_LONG),
        ),
    ]
