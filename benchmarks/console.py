"""The console beside a busy server: how fast it answers, and what it costs the server.

1,000 clients watch, 500 changes come each second, and the tenant has 100,000 keys. The server's
CPU is measured in turns: with nobody who looks, and with the overview and the live changes open.
Each page is asked for again and again meanwhile, as an operator does by clicks.
"""

import asyncio
import re
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from statistics import median, quantiles
from typing import cast

import httpx
from relevo_console.problems import HTTP_STATUS, Kind
from relevo_server.deadline import STORE_SHARE

from benchmarks import servers
from benchmarks.figures import Figure, Goal, spread
from benchmarks.operated import TENANT, key
from benchmarks.run import Run
from benchmarks.workers import worker

KEYS, CLIENTS, CHANGES = 100_000, 1_000, 500
_QUICK_KEYS = 10_000
_FULL = 21
"""The rounds of the other benchmarks, if they are to be exact."""
_GOAL = Goal("p95", at_most=200.0)
_ENTRY = f"conversation:{TENANT}:{key(7).id}"
LIVE = {
    "overview": "/overview/events",
    "changes": f"/changes/events?tenant={TENANT}",
}
PAGES = {
    "overview": "/",
    "changes": f"/changes?tenant={TENANT}",
    "contexts": f"/contexts?tenant={TENANT}",
    "context": f"/context?ref={_ENTRY}",
    "difference": f"/difference?left={_ENTRY}&right=conversation:{TENANT}:{key(8).id}",
    "clients": "/clients?sort=staleness",
    "tenants": "/tenants",
    "partitions": "/partitions",
}
_SEARCH = f"/tenants/usage?id={TENANT}"
"""It searches the whole database, which the page says while it waits."""
_PATIENCE = 60.0
"""Seconds that a call of the console may take."""
_LEAST_PATIENCE = STORE_SHARE * _PATIENCE
"""Seconds after which the server itself may give up such a call."""


async def measure(run: Run) -> list[Figure]:
    """Times of interactions, and what an open console costs the server."""
    is_full = run.schedule.rounds >= _FULL
    rounds, seconds, clicks = (8, 6.0, 20) if is_full else (2, 3.0, 5)
    with servers.relevo(
        run.redis, run.prefix, run.cores, "--quotas.default.writes", "100000"
    ) as server:
        async with AsyncExitStack() as stack:
            platform = await stack.enter_async_context(
                worker(sys.executable, "-m", "benchmarks.operated")
            )
            await platform.call("begin", server.address)
            run.schedule.say("Console, filling the store")
            await platform.call("fill", KEYS if is_full else _QUICK_KEYS)
            await platform.call("watch", CLIENTS)
            url = await stack.enter_async_context(_console(server.address))
            http = await stack.enter_async_context(
                httpx.AsyncClient(base_url=url, trust_env=False, timeout=2 * _PATIENCE)
            )
            await platform.call("change", CHANGES)
            begun = time.perf_counter()
            figures = await _costs(run, server, http, rounds, seconds)
            rate = await platform.call("changed") / (time.perf_counter() - begun)
            figures.append(Figure("Console/changes", rate, "/s", 0.0))
            run.schedule.say("Console, clicks")
            async with _looking(http, tuple(LIVE.values())):
                for name, path in PAGES.items():
                    figures.append(
                        await _clicked(http, f"Console/{name}/p95", path, clicks, _p95, _GOAL)
                    )
                figures.append(await _clicked(http, "Console/usage/p50", _SEARCH, 3, median))
            return figures


async def _costs(
    run: Run, server: servers.Server, http: httpx.AsyncClient, rounds: int, seconds: float
) -> list[Figure]:
    """The server's CPU with open pages, less than that without, in percent of a core."""
    looks = {
        "nobody": (),
        **{name: (path,) for name, path in LIVE.items()},
        "both": tuple(LIVE.values()),
    }
    used: dict[str, list[float]] = {name: [] for name in looks}
    for number in range(rounds):
        run.schedule.say(f"Console, cost, round {number + 1} of {rounds}")
        for name, paths in looks.items():
            async with _looking(http, paths):
                await asyncio.sleep(3)  # what only the opening of a page costs is over
                begun, before = time.perf_counter(), server.cpu()
                await asyncio.sleep(seconds)
                used[name].append(100 * (server.cpu() - before) / (time.perf_counter() - begun))
    without = used["nobody"]
    figures = [Figure("Console/nobody/server cpu", median(without), "% of a core", spread(without))]
    for name in [*LIVE, "both"]:
        added = [value - base for value, base in zip(used[name], without, strict=True)]
        figures.append(
            Figure(
                f"Console/{name}/added server cpu",
                median(added),
                "% of a core",
                spread(used[name]),
                goal=Goal("cpu", at_most=2.0),
            )
        )
    return figures


@asynccontextmanager
async def _looking(http: httpx.AsyncClient, paths: Sequence[str]) -> AsyncGenerator[None]:
    """Keep live pages open."""

    async def read(path: str) -> None:
        async with http.stream("GET", path) as response:
            async for _ in response.aiter_raw():
                pass

    reading = [asyncio.create_task(read(path)) for path in paths]
    try:
        yield
    finally:
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)


@asynccontextmanager
async def _console(target: str) -> AsyncGenerator[str]:
    """Run `relevo console`. Yields its URL."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "relevo_cli", "console", "--target", target),
        *("--listen", "127.0.0.1:0", "--timeout", f"{_PATIENCE:g}"),
        stdout=PIPE,
    )
    try:
        line = await cast("asyncio.StreamReader", process.stdout).readline()
        found = re.search(r"http://\S+", line.decode())
        if not found:
            raise RuntimeError("the console has not started")
        yield found[0]
    finally:
        process.terminate()
        await process.wait()


async def _clicked(
    http: httpx.AsyncClient,
    name: str,
    path: str,
    count: int,
    of: Callable[[Sequence[float]], float],
    goal: Goal | None = None,
) -> Figure:
    """The figure of the times that a page takes, after a first click that is not counted.

    It is missed if the page once says that the store has not answered in time.
    """
    taken: list[float] = []
    for _ in range(count + 1):
        begun = time.perf_counter()
        response = await http.get(path)
        seconds = time.perf_counter() - begun
        taken.append(1000 * seconds)
        if response.status_code == HTTP_STATUS[Kind.AWAY] and seconds >= _LEAST_PATIENCE:
            return Figure(name, taken[-1], "ms", spread=0.0, goal=goal, is_missed=True)
        response.raise_for_status()
    counted = taken[1:]
    return Figure(name, of(counted), "ms", spread(counted), goal=goal)


def _p95(taken: Sequence[float]) -> float:
    """19 of 20 clicks are answered within it."""
    return quantiles(taken, n=20)[-1]
