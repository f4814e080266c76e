"""The delay of other tenants' calls while one tenant offers ten times its quota.

One server on Redis. The noisy tenant may write 50 times a second, have 4 calls that wait for
leases and 100 subscriptions. From a process of its own it offers ten times as much:

- `offered`: 500 Puts a second, whatever the answers are; 40 callers at a time that want to wait for
  a lease, and ask again after the pause that a refusal names; 1,000 subscriptions on a stream.
- `repeated`: it repeats what is refused at once, as fast as answers come: 20 Puts in flight, the 40
  callers, and the subscriptions again and again. That is no multiple of a quota, but as much as
  the server lets it have.

Turns with the noise and without it alternate.
"""

from dataclasses import dataclass

from benchmarks import servers
from benchmarks.calls import fill
from benchmarks.figures import Figure, Goal, paired
from benchmarks.flooder import NOISY
from benchmarks.http2 import connected
from benchmarks.others import others
from benchmarks.run import Run
from benchmarks.workers import Worker, workers

LIMITS = {"writes": 50, "writes_burst": 50, "lease_waits": 4, "subscriptions": 100}
"""The quota of the noisy tenant."""
TIMES = 10
"""Times its quota that the tenant offers."""
_ROUNDS = 2


@dataclass(frozen=True)
class _Noise:
    """One kind of noise."""

    command: str
    """The worker's command that begins it."""
    times_as_long: int
    """Turns are so many times as long as those of other benchmarks, which take 0.4 s."""
    goal: Goal | None = None


_NOISES = {
    # A minute: what its beginning costs, when all subscriptions come at once, is a part of it.
    "offered": _Noise("begin", 150, Goal("p99", at_most=1.25)),
    "repeated": _Noise("repeat", 25),
}


async def measure(run: Run) -> list[Figure]:
    """The 99th percentile of Gets and Puts, quiet and with each noise, and what was refused."""
    flags = [f'--quotas.tenants=[{{"pattern": "{NOISY}", {_limits()}}}]']
    figures: list[Figure] = []
    with servers.relevo(run.redis, run.prefix, run.cores, *flags) as server:
        await fill(server.address)
        async with workers("benchmarks.flooder", 1) as (noisy,):
            for noise in _NOISES:
                figures += await _figures(run, server, noisy, noise)
    return figures


async def _figures(run: Run, server: servers.Server, noisy: Worker, noise: str) -> list[Figure]:
    kind = _NOISES[noise]
    rounds = min(_ROUNDS, run.schedule.rounds)
    seconds = kind.times_as_long * run.schedule.seconds
    taken: dict[bool, list[dict[str, float]]] = {False: [], True: []}
    offered = refused = 0
    async with connected(server.address) as client:
        for i in range(2 * rounds):
            is_noisy = bool(i % 2)
            run.schedule.say(f"Shares, {noise}, turn {i + 1} of {2 * rounds}")
            if is_noisy:
                await noisy.call(kind.command, server.address, LIMITS, TIMES)
            taken[is_noisy].append(await others(client, seconds))
            if is_noisy:
                more_offered, more_refused = await noisy.call("end")
                offered, refused = offered + more_offered, refused + more_refused
    figures = [
        paired(
            f"Shares/{noise}/{method}/p99",
            "ms",
            [turn[method] for turn in taken[True]],
            [turn[method] for turn in taken[False]],
            kind.goal,
        )
        for method in taken[True][0]
    ]
    return [*figures, Figure(f"Shares/{noise}/refused", refused, "calls", 0.0, offered)]


def _limits() -> str:
    return ", ".join(f'"{name}": {limit}' for name, limit in LIMITS.items())
