"""Gets from Redis of a server with one, and with several worker processes.

    python -m benchmarks.several [--workers 2] [--share 0.35] [--rounds 3] [--seconds 4]

Both servers stand on one Redis and are loaded in turns, by two other processes with connections
of their own. All of them share this machine's cores. So what the whole can do is bounded by the
CPU that a call takes everywhere, and the generator's and Redis's parts do not grow fewer. What
workers add is seen if they, and not the machine, are the bound: with `--share`, each worker may
use only such a part of a core (a cgroup's quota; needs root and cgroups of version 1).
"""

import argparse
import asyncio
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

import psutil
from support.redis.client import RedisClient
from support.redis.process import RedisProcess
from support.servers.process import relevo_serve
from support.servers.workers import pids_of, workers_serve

from benchmarks import servers
from benchmarks.calls import fill
from benchmarks.workers import Worker, call_all, workers

_GENERATORS = 2
_CGROUPS = Path("/sys/fs/cgroup/cpu")
_PERIOD = 10_000
"""Microseconds of a period of a quota; the default of 100,000 would stop a worker for long."""


class Taken(NamedTuple):
    """The measurements of one load."""

    calls: float
    """Calls a second."""
    worker: float
    """Microseconds of CPU for each call, in workers."""
    redis: float
    generators: float

    def __str__(self) -> str:
        return (
            f"{self.calls:7,.0f} calls/s, µs of CPU for each: {self.worker:4.0f} server, "
            f"{self.redis:3.0f} Redis, {self.generators:3.0f} generators"
        )


class _Server(NamedTuple):
    address: str
    pids: Sequence[int]
    """The processes that answer calls."""


async def _measure(
    server: _Server, redis_cpu: Callable[[], float], generators: Sequence[Worker], seconds: float
) -> Taken:
    def used() -> tuple[float, float]:
        return sum(map(_cpu, server.pids)), redis_cpu()

    before = used()
    loads = await call_all(generators, "load", server.address, seconds)
    worker, redis = (now - then for now, then in zip(used(), before, strict=True))
    calls, elapsed, own = zip(*loads, strict=True)
    per_call = [1e6 * each / sum(calls) for each in (worker, redis, sum(own))]
    return Taken(sum(calls) / max(elapsed), *per_call)


def _cpu(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


@contextmanager
def _limited(pids: Sequence[int], share: float) -> Generator[None]:
    """Let each process use such a part of a core."""
    folders = [_CGROUPS / f"relevo-bench-{pid}" for pid in pids]
    try:
        for pid, folder in zip(pids, folders, strict=True):
            folder.mkdir()
            (folder / "cpu.cfs_period_us").write_text(str(_PERIOD))
            (folder / "cpu.cfs_quota_us").write_text(str(round(share * _PERIOD)))
            (folder / "cgroup.procs").write_text(str(pid))
        yield
    finally:
        for pid, folder in zip(pids, folders, strict=True):
            (_CGROUPS / "cgroup.procs").write_text(str(pid))
            folder.rmdir()


async def _run(options: argparse.Namespace) -> None:
    with ExitStack() as stack:
        redis = stack.enter_context(RedisProcess())
        redis_cpu = servers.redis_cpu(stack.enter_context(RedisClient(redis.url)))
        one = stack.enter_context(relevo_serve("--store", redis.url, fresh=True))
        several = stack.enter_context(
            workers_serve("--store", redis.url, workers=options.workers, fresh=True)
        )
        loaded = {
            1: _Server(one.address, [one.process.pid]),
            options.workers: _Server(several.address, sorted(pids_of(several))),
        }
        if options.share:
            for server in loaded.values():
                stack.enter_context(_limited(server.pids, options.share))
        await fill(one.address)
        taken: dict[int, list[Taken]] = {count: [] for count in loaded}
        async with workers("benchmarks.getter", _GENERATORS) as generators:
            for i in range(-1, options.rounds):  # the first round only warms up
                seconds = options.seconds if i >= 0 else 1.0
                for count, server in loaded.items():
                    found = await _measure(server, redis_cpu, generators, seconds)
                    if i >= 0:
                        taken[count].append(found)
    for count, each in taken.items():
        print(f"{count} workers: {Taken(*map(median, zip(*each, strict=True)))}")
    ratios = sorted(b.calls / a.calls for a, b in zip(*taken.values(), strict=True))
    shown = ", ".join(f"{each:.2f}" for each in ratios)
    print(f"{options.workers} workers against one: {median(ratios):.2f} (rounds: {shown})")


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--share", type=float, default=0.0, help="cores for each worker; 0: all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each load")
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(_run(_parsed()))
