"""Contenders that take turns, so that whatever else the machine does hits all alike."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import quantiles

Drive = Callable[[int, float], Awaitable[tuple[list[float], float]]]
"""Keeps a number of calls in flight for so many seconds: what each call took, and
how long it all was."""


@dataclass(frozen=True)
class Contender:
    """Something to measure. `cpu` says how many CPU seconds it has used so far."""

    name: str
    drive: Drive
    cpu: Callable[[], float]


@dataclass(frozen=True)
class Sample:
    """What one turn of a contender came to."""

    throughput: float
    """Calls per second."""
    p50: float
    """Milliseconds that half of the calls took at most."""
    p99: float
    """Milliseconds that all but one in a hundred took at most."""
    cpu: float
    """Microseconds of CPU for each call, of what the contender says."""


@dataclass(frozen=True)
class Schedule:
    """How long to measure, and whom to tell how far it is."""

    rounds: int
    seconds: float
    """The length of a turn."""
    say: Callable[[str], None]


async def take_turns(
    contenders: Sequence[Contender], *, in_flight: int, schedule: Schedule, what: str
) -> Mapping[str, list[Sample]]:
    """A sample of each contender for each round, after one turn to warm up.

    Each round begins with another contender: who comes after whom matters too.
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
    """Drives a coroutine function of this process."""

    async def drive(in_flight: int, seconds: float) -> tuple[list[float], float]:
        latencies: list[float] = []
        start = time.perf_counter()

        async def one_after_another() -> None:
            while (begun := time.perf_counter()) - start < seconds:
                await call()
                latencies.append(time.perf_counter() - begun)

        async with asyncio.TaskGroup() as group:
            for _ in range(in_flight):
                group.create_task(one_after_another())
        return latencies, time.perf_counter() - start

    return drive
