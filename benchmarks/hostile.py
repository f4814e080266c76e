"""The cost of hostile messages: CPU, memory, and other tenants' time.

One server on Redis with two principals. A victim's Gets come one at a time, every few milliseconds.
From a process of its own another principal, or a stranger, sends the input of one row of issues
that were found in a review, again and again: one message at a time, or as many calls at once as
the row names. Turns with the attack and without it alternate. An attack that ends with a
status such as UNKNOWN, and a Get that fails, end the benchmark.

CPU is the server's per message (or call), beyond what the victim's Gets take. Memory is the peak
beyond what the server had before the turn.
"""

from collections.abc import Generator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from support.clients.access import bearer
from support.servers.peak import Peak

from benchmarks import servers
from benchmarks.attacks import ATTACKS, HOSTILE
from benchmarks.calls import fill
from benchmarks.figures import Figure, Goal, paired, spread
from benchmarks.http2 import Http2Client, connected
from benchmarks.others import others
from benchmarks.run import Run
from benchmarks.workers import Worker, workers

_VICTIM = "victim"
_SETTINGS = """
[[principals]]
name = "hostile"
token_sha256 = "{hostile}"
tenants = ["{tenant}"]

[[principals]]
name = "victim"
token_sha256 = "{victim}"
tenants = ["*"]

[[quotas.tenants]]
pattern = "{tenant}"
bytes = 40_000_000
"""
_GOALS = {
    "cpu": Goal("cpu", at_most=50.0),
    "memory": Goal("memory", at_most=64.0),
    "p99": Goal("p99", at_most=2.0),
}
_ROUNDS = 3
_TIMES_AS_LONG = 4
"""Turns are so many times as long as those of other benchmarks: 1.6 s."""


async def measure(run: Run) -> list[Figure]:
    """The CPU and memory that each attack takes, and the 99th percentile of the victim's Gets."""
    figures: list[Figure] = []
    with _settings() as file:
        flags = "--config", str(file)
        with servers.relevo(run.redis, run.prefix, run.cores, *flags) as server:
            await fill(server.address, bearer(_VICTIM))
            async with (
                connected(server.address, bearer(_VICTIM)) as client,
                workers("benchmarks.attacker", 1) as (attacker,),
            ):
                await attacker.call("prepare", server.address)
                for attack in ATTACKS:
                    figures += await _figures(run, server, client, attacker, attack)
    return figures


async def _figures(
    run: Run, server: servers.Server, client: Http2Client, attacker: Worker, attack: str
) -> list[Figure]:
    seconds = _TIMES_AS_LONG * run.schedule.seconds
    quiet: list[float] = []
    attacked: list[float] = []
    cpu: list[float] = []
    memory: list[float] = []
    for i in range(min(_ROUNDS, run.schedule.rounds)):
        run.schedule.say(f"Hostile, {attack}, round {i + 1}")
        begun = server.cpu()
        quiet.append((await others(client, seconds, ["Get"]))["Get"])
        own = server.cpu() - begun
        peak, begun = Peak(server.pid), server.cpu()
        await attacker.call("begin", attack)
        attacked.append((await others(client, seconds, ["Get"]))["Get"])
        sent = await attacker.call("end")
        cpu.append(max(0.0, server.cpu() - begun - own) / sent * 1e3)
        memory.append(peak.grown / (1 << 20))
    name = f"Hostile/{attack}"
    return [
        Figure(f"{name}/cpu", median(cpu), "ms", spread(cpu), goal=_GOALS["cpu"]),
        Figure(f"{name}/memory", max(memory), "MiB", spread(memory), goal=_GOALS["memory"]),
        paired(f"{name}/p99", "ms", attacked, quiet, _GOALS["p99"]),
    ]


@contextmanager
def _settings() -> Generator[Path, None, None]:
    """A file with the server's settings."""
    with TemporaryDirectory() as folder:
        file = Path(folder, "relevo.toml")
        digests = {
            name: sha256(token.encode()).hexdigest()
            for name, token in (("hostile", HOSTILE), ("victim", _VICTIM))
        }
        file.write_text(_SETTINGS.format(tenant=HOSTILE, **digests))
        yield file
