"""The cost of a server's followed logs while nothing happens, and the delay of a change.

One Watch stream subscribes to a key in each partition. First nothing happens: the CPU that the
server and Redis take in that time is what following costs. Then one Put at a time is sent, each to
another partition, and is timed until the stream has its value.
"""

import asyncio
import random
import time
from collections.abc import Sequence
from statistics import quantiles

from relevo.v1.store_pb2 import PutRequest
from relevo_server.keys import partition_of
from support.clients.calls import Stub, key
from support.clients.watching import Watch
from support.servers.serving import stub_of

from benchmarks import samples, servers
from benchmarks.figures import Figure
from benchmarks.run import Run

PARTITIONS = 64
PUTS = 20
"""The Puts of a round."""
_SETTLE = 1.0
"""Seconds until the work of the beginning is over."""


async def measure(run: Run) -> list[Figure]:
    """Connections, CPU while nothing happens, and the milliseconds from a Put until it is told."""
    tenants = _tenants()
    redis_cpu = servers.redis_cpu(run.redis_client)
    before = len(run.redis_client("CLIENT LIST"))
    with servers.relevo(run.redis, run.prefix, run.cores) as server:
        async with stub_of(server.address) as stub, Watch(stub) as watch:
            answers = {watch.subscribe(key(tenant=each)) for each in tenants}
            while answers:
                answers.discard((await watch.news()).answers)
            await asyncio.sleep(_SETTLE)
            connections = len(run.redis_client("CLIENT LIST")) - before
            run.schedule.say(f"Logs, {PARTITIONS} followed, nothing happens")
            begin, own, theirs = time.monotonic(), server.cpu(), redis_cpu()
            await asyncio.sleep(run.schedule.rounds * run.schedule.seconds)
            seconds = time.monotonic() - begin
            own, theirs = (server.cpu() - own) / seconds, (redis_cpu() - theirs) / seconds
            delays: list[float] = []
            for i in range(run.schedule.rounds):
                run.schedule.say(f"Logs, Puts, round {i + 1} of {run.schedule.rounds}")
                delays += [await _delay(stub, watch, tenants) for _ in range(PUTS)]
    percentiles = quantiles(delays, n=100)
    return [
        Figure(f"Logs/{PARTITIONS}/{name}", value, unit, spread=0.0)
        for name, value, unit in (
            ("connections to Redis", float(connections), ""),
            ("quiet, server", own * 1e3, "ms CPU/s"),
            ("quiet, Redis", theirs * 1e3, "ms CPU/s"),
            ("Put until told, p50", percentiles[49] * 1e3, "ms"),
            ("Put until told, p99", percentiles[98] * 1e3, "ms"),
        )
    ]


async def _delay(stub: Stub, watch: Watch, tenants: Sequence[str]) -> float:
    """Put one entry. Returns the seconds until the stream has its value."""
    wanted = key(tenant=random.choice(tenants))  # noqa: S311 - no secret
    begin = time.perf_counter()
    putting = stub.Put(PutRequest(key=wanted, context=samples.context()))
    while (await watch.news()).entry.key != wanted:
        pass
    delay = time.perf_counter() - begin
    await putting
    return delay


def _tenants() -> Sequence[str]:
    """A tenant of each partition."""
    found: dict[int, str] = {}
    number = 0
    while len(found) < PARTITIONS:
        found.setdefault(partition_of(f"tenant-{number}", PARTITIONS), f"tenant-{number}")
        number += 1
    return list(found.values())
