"""The delay of other tenants' calls while one tenant offers ten times its quota.

One server on Redis. The noisy tenant may write 50 times a second, have 4 calls that wait for
leases and 100 subscriptions. From a process of its own it offers ten times as much of each, and
repeats what is refused without the pause that it is asked for. The other
tenants' Gets and Puts come one at a time, every few milliseconds: the figure is their delay, and
not how many the server can answer.
Turns with the noise and without it alternate. A call of the others that fails ends the benchmark.
"""

import asyncio
from collections.abc import Iterator
from statistics import quantiles

from benchmarks import samples, servers
from benchmarks.calls import fill, path
from benchmarks.figures import Figure, Goal, paired
from benchmarks.flooder import NOISY
from benchmarks.http2 import Http2Client, connected
from benchmarks.run import Run
from benchmarks.workers import workers

LIMITS = {"writes": 50, "writes_burst": 50, "lease_waits": 4, "subscriptions": 100}
"""The quota of the noisy tenant."""
TIMES = 10
"""Times its quota that the tenant offers."""
_GOAL = Goal("p99", at_most=1.25)
_PAUSE = 0.004
_ROUNDS = 6
_TIMES_AS_LONG = 25
"""Turns are so many times as long as those of other benchmarks: 10 s, 60 s with noise in all."""


async def measure(run: Run) -> list[Figure]:
    """The 99th percentile of Gets and Puts, quiet and with the noise, and what was refused."""
    flags = [f'--quotas.tenants=[{{"pattern": "{NOISY}", {_limits()}}}]']
    rounds = min(_ROUNDS, run.schedule.rounds)
    seconds = _TIMES_AS_LONG * run.schedule.seconds
    taken: dict[str, dict[bool, list[float]]] = {
        method: {False: [], True: []} for method in ("Get", "Put")
    }
    offered = refused = 0
    with servers.relevo(run.redis, run.prefix, run.cores, *flags) as server:
        await fill(server.address)
        async with (
            connected(server.address) as client,
            workers("benchmarks.flooder", 1) as (noisy,),
        ):
            for i in range(2 * rounds):
                is_noisy = bool(i % 2)
                run.schedule.say(f"Shares, turn {i + 1} of {2 * rounds}")
                if is_noisy:
                    await noisy.call("begin", server.address, LIMITS, TIMES)
                for method, latencies in (await _others(client, seconds)).items():
                    taken[method][is_noisy].append(quantiles(latencies, n=100)[98] * 1e3)
                if is_noisy:
                    more_offered, more_refused = await noisy.call("end")
                    offered, refused = offered + more_offered, refused + more_refused
    figures = [
        paired(f"Shares/{method}/p99", "ms", turns[True], turns[False], _GOAL)
        for method, turns in taken.items()
    ]
    share = Figure("Shares/refused", refused, "calls", 0.0, offered)
    return [*figures, share]


async def _others(client: Http2Client, seconds: float) -> dict[str, list[float]]:
    """Call for the other tenants, one call at a time. Returns the latencies in seconds."""
    calls: dict[str, Iterator[bytes]] = {
        "Get": samples.get_requests(),
        "Put": samples.put_requests(),
    }
    latencies: dict[str, list[float]] = {method: [] for method in calls}
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end:
        for method, requests in calls.items():
            taken, _ = await client.load(path(method), requests, 1, 0)
            latencies[method] += taken
            await asyncio.sleep(_PAUSE)
    return latencies


def _limits() -> str:
    return ", ".join(f'"{name}": {limit}' for name, limit in LIMITS.items())
