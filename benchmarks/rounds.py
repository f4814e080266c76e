"""Measures contenders in turns, so that other load on the machine affects all alike."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import quantiles

Drive = Callable[[int, float], Awaitable[tuple[list[float], float]]]
"""Keeps a number of calls in flight for a number of seconds. Returns the latency of each call
and the elapsed time, in seconds."""


@dataclass(frozen=True)
class Contender:
    """A contender to measure. `cpu` returns the CPU seconds that it has used so far."""

    name: str
    drive: Drive
    cpu: Callable[[], float]


@dataclass(frozen=True)
class Sample:
    """The measurements of one turn of a contender."""

    throughput: float
    """Calls per second."""
    p50: float
    """The median latency in milliseconds."""
    p99: float
    """The 99th percentile of the latency in milliseconds."""
    cpu: float
    """Microseconds of CPU per call, as the contender reports them."""


@dataclass(frozen=True)
class Schedule:
    """The number and length of the measurements, and a function that reports progress."""

    rounds: int
    seconds: float
    """The length of a turn, in seconds."""
    say: Callable[[str], None]


async def take_turns(
    contenders: Sequence[Contender], *, in_flight: int, schedule: Schedule, what: str
) -> Mapping[str, list[Sample]]:
    """Measure a sample of each contender in each round, after a turn to warm up.

    Each round begins with another contender, because the order matters too.
    """
    samples: dict[str, list[Sample]] = {contender.name: [] for contender in contenders}
    for contender in contenders:
        schedule.say(f"{what}, {in_flight} in flight, warming up")
        await contender.drive(in_flight, schedule.seconds / 4)
    for i in range(schedule.rounds):
        schedule.say(f"{what}, {in_flight} in flight, round {i + 1} of {schedule.rounds}")
        turn = i % len(contenders)
        for contender in (*contenders[turn:], *contenders[:turn]):
            sample = await _sample(contender, in_flight, schedule.seconds)
            samples[contender.name].append(sample)
    return samples


async def _sample(contender: Contender, in_flight: int, seconds: float) -> Sample:
    cpu = contender.cpu()
    latencies, elapsed = await contender.drive(in_flight, seconds)
    cpu = contender.cpu() - cpu
    percentiles = quantiles(latencies, n=100)
    return Sample(
        throughput=len(latencies) / elapsed,
        p50=percentiles[49] * 1e3,
        p99=percentiles[98] * 1e3,
        cpu=cpu / len(latencies) * 1e6,
    )


def closed_loop(call: Callable[[], Awaitable[object]]) -> Drive:
    """A `Drive` that repeats a coroutine function in this process."""

    async def drive(in_flight: int, seconds: float) -> tuple[list[float], float]:
        latencies: list[float] = []
        start = time.perf_counter()

        async def one_after_another() -> None:
            while (call_start := time.perf_counter()) - start < seconds:
                await call()
                latencies.append(time.perf_counter() - call_start)

        async with asyncio.TaskGroup() as group:
            for _ in range(in_flight):
                group.create_task(one_after_another())
        return latencies, time.perf_counter() - start

    return drive
