"""`python -m benchmarks.soak`: churn for an hour, with a table of resources and a verdict.

Redis, `relevo serve`, the clients and `relevo probe` each run as a process of their own. Exits
with 1 if a resource has grown (memory, file descriptors, threads, connections, tasks or streams),
or if the probe has found a violation. Needs `tests` on the path, as `make soak` sets it.
"""

import argparse
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager

import psutil
from relevo_look import units
from support.flat import Gauge, Memory
from support.python_process import PythonProcess, python_process
from support.redis.process import RedisProcess
from support.servers.command import COMMAND
from support.servers.process import RelevoProcess, relevo_serve
from support.waiting import until

from benchmarks.soak.churn import TTL

CLIENTS = 2
_ROWS = 30
_FLAGS = (
    # So small that they are full soon, and then do not grow.
    *("--log-length", "1000"),
    *("--request-id-ttl", str(TTL)),
    *("--store-connections", "16"),
)


class Table:
    """The table of measured resources."""

    def __init__(self, server: RelevoProcess, clients: Sequence[PythonProcess]) -> None:
        self._begin = time.monotonic()
        self._server = psutil.Process(server.process.pid)
        self._port = int(server.address.rpartition(":")[2])
        self._clients = clients
        self._processes = [psutil.Process(client.process.pid) for client in clients]
        self.gauges = [
            Memory("server MB"),
            Gauge("fds"),
            Gauge("threads"),
            Gauge("conns"),
            Memory("clients MB"),
            Gauge("fds"),
            Gauge("threads"),
            Gauge("tasks"),
            Gauge("streams"),
        ]

    def print_header(self, seconds: float) -> None:
        """Print how long it takes, and the names of the columns."""
        every = units.duration(seconds / _ROWS)
        print(f"churn for {units.duration(seconds)}, with a row every {every}")
        names = ["seconds", "calls", "clients", "pushes", "evicted"]
        print(*[f"{name:>9}" for name in names], *[f"{g.name:>10}" for g in self.gauges])

    def sample(self) -> None:
        """Measure everything once."""
        with self._server.oneshot():
            memory, fds = self._server.memory_info().rss, self._server.num_fds()
            values: list[float] = [memory, fds, self._server.num_threads()]
        connections = self._server.net_connections("tcp")
        states = [each.status for each in connections if each.laddr.port == self._port]
        values.append(states.count(psutil.CONN_ESTABLISHED))
        values.append(sum(process.memory_info().rss for process in self._processes))
        values.append(sum(process.num_fds() for process in self._processes))
        values.append(sum(process.num_threads() for process in self._processes))
        values += [self._sum("tasks"), self._sum("streams")]
        for gauge, value in zip(self.gauges, values, strict=True):
            gauge.samples.append(value)

    def print_row(self) -> None:
        """Print the last sample."""
        counts = [self._sum(name) for name in ("operations", "clients", "pushes", "evictions")]
        now = [_shown(gauge, gauge.samples[-1]) for gauge in self.gauges]
        elapsed = f"{time.monotonic() - self._begin:9.0f}"
        print(elapsed, *[f"{count:9}" for count in counts], *[f"{value:>10}" for value in now])

    def _sum(self, name: str) -> int:
        return sum(client.lines[-1][name] for client in self._clients)


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600.0, metavar="N")
    options = parser.parse_args()
    # SIGTERM interrupts as Ctrl-C does, so that all processes are stopped.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        table, violated = _run(options.seconds)
    except KeyboardInterrupt:
        sys.exit("interrupted")
    sys.exit(_judge(table.gauges) or violated)


def _run(seconds: float) -> tuple[Table, int]:
    """Soak. Returns the measurements, and the exit code of the probe."""
    with ExitStack() as stack:
        redis = stack.enter_context(RedisProcess())
        # As docs/operations.md advises: otherwise glibc keeps ever more memory for gRPC's threads.
        environment = {"MALLOC_ARENA_MAX": "1"}
        server = stack.enter_context(
            relevo_serve(*("--store", redis.url, *_FLAGS), environment=environment, fresh=True)
        )
        clients = [
            stack.enter_context(
                python_process(
                    "benchmarks.soak.churn", server.address, f"client {i}", str(seconds / 6)
                )
            )
            for i in range(CLIENTS)
        ]
        until(lambda: all(client.lines for client in clients), what="the clients begin")
        probe = stack.enter_context(_probe(server.address, seconds))
        table = Table(server, clients)
        table.print_header(seconds)
        end = time.monotonic() + seconds
        pause, next_row = max(0.25, seconds / 1000), time.monotonic()
        while time.monotonic() < end:
            time.sleep(pause)
            for client in clients:
                if client.process.poll() is not None:
                    sys.exit("a client has ended")
            table.sample()
            if time.monotonic() >= next_row:
                table.print_row()
                next_row += seconds / _ROWS
        print("\nthe probe:", flush=True)
        report, _ = probe.communicate()
        print(report)
        return table, probe.returncode


@contextmanager
def _probe(address: str, seconds: float) -> Generator["subprocess.Popen[str]", None, None]:
    """Run `relevo probe` for a time, and kill it if it outlives the soak."""
    words = [*COMMAND, "probe", address, "--for", f"{seconds:.0f}s"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def _judge(gauges: Sequence[Gauge]) -> int:
    print("\nthe last fifth against the second one:")
    for i, gauge in enumerate(gauges):
        whose = "server" if i < 4 else "clients"
        name = gauge.name if gauge.name.startswith(whose) else f"{whose} {gauge.name}"
        verdict = "flat" if gauge.is_flat else "NOT FLAT"
        before, after = _shown(gauge, gauge.before), _shown(gauge, gauge.after)
        print(f"  {name:16} {before:>8} -> {after:>8}  {verdict}")
    return int(not all(gauge.is_flat for gauge in gauges))


def _shown(gauge: Gauge, value: float) -> str:
    return f"{value / (1 << 20):.1f}" if isinstance(gauge, Memory) else f"{value:.0f}"


main()
