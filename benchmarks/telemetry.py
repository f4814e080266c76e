"""What it costs to see Relevo work.

- `peek`: a hit of the near cache, in a process without and with OpenTelemetry's SDK.
- `Call`: a unary call that carries its context, without and with the SDK on both sides. Beside
  it, OpenTelemetry's own instrumentation of gRPC: alone (`otel`), and with Relevo's context and
  attributes in its spans (`otel relevo`).
- `Get`: a Get from Redis, of a server without metrics and one with `--metrics-listen`, which is
  scraped every five seconds; started anew several times.

Each contender has processes of its own, as a process has one SDK. CPU of calls is that of both
sides together.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial

import httpx

from benchmarks import samples, servers
from benchmarks.calls import fill, path
from benchmarks.figures import Figure, Goal, compare, paired
from benchmarks.http2 import connected
from benchmarks.rounds import Contender, Drive, Sample, Schedule, take_turns
from benchmarks.run import Run
from benchmarks.workers import Worker, workers

IN_FLIGHT = 20
PEEK = Goal("µs", at_most=1.05)
CALL = Goal("cpu", at_most=1.02)
GET = Goal("cpu", at_most=1.03)
_SCRAPED_EVERY = 5.0
"""Seconds under load; Prometheus's own default is a minute."""
_TURNS = 2
"""The factor by which a turn is longer here, because the differences are a few per cent."""
_STARTS = 7
"""The starts of the servers of Gets: the ratio differs by 2 % from one start to the next."""
_CALLERS = {
    "without": "relevo",
    "with": "relevo+sdk",
    "otel": "otel+sdk",
    "otel relevo": "otel+relevo+sdk",
}
"""The contenders of calls, with what both of their sides have."""


async def measure(run: Run) -> list[Figure]:
    """The figures of peeks, of calls and of Gets, without and with telemetry."""
    schedule = Schedule(run.schedule.rounds, run.schedule.seconds * _TURNS, run.schedule.say)
    return [
        await _peeks(run),
        *await _calls(run, schedule),
        *await _gets(run, schedule),
    ]


async def _peeks(run: Run) -> Figure:
    async with AsyncExitStack() as stack:
        server = stack.enter_context(servers.relevo(run.redis, run.prefix, run.cores))
        await fill(server.address)
        without, with_sdk = await stack.enter_async_context(workers("benchmarks.metered", 2))
        await with_sdk.call("use_sdk")
        taken: dict[Worker, list[float]] = {without: [], with_sdk: []}
        for worker in taken:
            await worker.call("fill", server.address)
            await worker.call("peek")  # to warm up
        for i in range(run.schedule.rounds):
            run.schedule.say(f"Peek, round {i + 1} of {run.schedule.rounds}")
            for worker in (without, with_sdk) if i % 2 else (with_sdk, without):
                taken[worker].append(await worker.call("peek") * 1e6)
        for worker in taken:
            await worker.call("close")
    return paired("Telemetry/peek with an SDK", "µs", taken[with_sdk], taken[without], PEEK)


async def _calls(run: Run, schedule: Schedule) -> list[Figure]:
    async with AsyncExitStack() as stack:
        contenders = [
            await stack.enter_async_context(_caller(run, name, side))
            for name, side in _CALLERS.items()
        ]
        taken = await take_turns(
            contenders, in_flight=IN_FLIGHT, schedule=schedule, what="Call with telemetry"
        )
    goals = {"with": CALL}
    return [
        *compare(
            *("Telemetry/call", {name: taken[name] for name in ("without", "with", "otel")}),
            baseline="without",
            in_flight=IN_FLIGHT,
            goals=goals,
        ),
        *compare(
            *("Telemetry/call", {name: taken[name] for name in ("otel", "otel relevo")}),
            baseline="otel",
            in_flight=IN_FLIGHT,
        ),
    ]


@asynccontextmanager
async def _caller(run: Run, name: str, side: str) -> AsyncGenerator[Contender]:
    with servers.service(side, run.cores) as server:
        async with workers("benchmarks.metered", 1) as (worker,):
            if "sdk" in side:
                await worker.call("use_sdk")
            await worker.call("open", server.address, "relevo" in side, "otel" in side)
            used = 0.0

            async def drive(in_flight: int, seconds: float) -> tuple[list[float], float]:
                nonlocal used
                latencies, elapsed, cpu = await worker.call("drive", in_flight, seconds)
                used += cpu
                return latencies, elapsed

            yield Contender(name, drive, lambda: used + server.cpu())


async def _gets(run: Run, schedule: Schedule) -> list[Figure]:
    taken: defaultdict[str, list[Sample]] = defaultdict(list)
    scrapes = _Scrapes()
    few = replace(schedule, rounds=-(-schedule.rounds // _STARTS))
    for start in range(_STARTS):
        for name, samples_of_start in (await _gets_of_a_start(run, few, start, scrapes)).items():
            taken[name] += samples_of_start
    return compare(
        "Telemetry/Get", taken, baseline="without", in_flight=IN_FLIGHT, goals={"with": GET}
    )


async def _gets_of_a_start(
    run: Run, schedule: Schedule, start: int, scrapes: "_Scrapes"
) -> Mapping[str, Sequence[Sample]]:
    async with AsyncExitStack() as stack:
        contenders: list[Contender] = []
        for name, flags in (("without", ()), ("with", ("--metrics-listen", "127.0.0.1:0"))):
            server = stack.enter_context(
                servers.relevo(run.redis, f"{run.prefix}-{name}-{start}", run.cores, *flags)
            )
            await fill(server.address)
            client = await stack.enter_async_context(connected(server.address))
            load: Drive = partial(client.load, path("Get"), samples.get_requests())
            if server.metrics:
                load = scrapes.beside(load, server.metrics)
            contenders.append(Contender(name, load, server.cpu))
        what = f"Get with metrics, start {start + 1} of {_STARTS}"
        return await take_turns(contenders, in_flight=IN_FLIGHT, schedule=schedule, what=what)


class _Scrapes:
    """Scrapes the metrics of servers, as often as their seconds under load ask for."""

    def __init__(self) -> None:
        self._loaded = 0.0

    def beside(self, load: Drive, address: str) -> Drive:
        """The same load, while the metrics at an address are scraped now and then."""

        async def drive(in_flight: int, seconds: float) -> tuple[list[float], float]:
            self._loaded += seconds
            if self._loaded < _SCRAPED_EVERY:
                return await load(in_flight, seconds)
            self._loaded = 0.0
            async with httpx.AsyncClient(timeout=10) as http, asyncio.TaskGroup() as group:
                scraping = group.create_task(http.get(f"http://{address}/metrics"))
                taken = await load(in_flight, seconds)
                (await scraping).raise_for_status()
            return taken

        return drive
