"""Starts and stops the server processes under load."""

import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import psutil
from support.redis.client import RedisClient
from support.servers.process import relevo_serve

from benchmarks.cores import Cores


@dataclass(frozen=True)
class Server:
    """A gRPC server in a process of its own."""

    address: str
    cpu: Callable[[], float]
    """Returns the CPU seconds that its process has used, in user mode and in the kernel."""
    metrics: str = ""
    """The address of its endpoint for Prometheus, "" if it has none."""
    pid: int = 0
    """Its process, 0 if it is not known."""


@contextmanager
def relevo(
    store: str, prefix: str, cores: Cores, *more: str, listen: str = "127.0.0.1:0"
) -> Generator[Server, None, None]:
    """Run `relevo serve`, with `more` flags."""
    flags = ("--store", store, "--store-prefix", prefix, "--listen", listen, *more)
    with ExitStack() as stack:
        with cores.of_server():
            serving = relevo_serve(*flags, fresh=True)
            process = stack.enter_context(serving)
        pid = process.process.pid
        yield Server(process.address, _cpu_of(pid), process.metrics_address, pid)


@contextmanager
def echo(loop: str, cores: Cores) -> Generator[Server, None, None]:
    """Run the baseline of calls, on the event loop of `asyncio` or `uvloop`."""
    with _module("benchmarks.echo", loop, cores=cores) as server:
        yield server


@contextmanager
def broadcast(cores: Cores) -> Generator[Server, None, None]:
    """Run the baseline of pushes."""
    with _module("benchmarks.broadcast", cores=cores) as server:
        yield server


@contextmanager
def service(side: str, cores: Cores) -> Generator[Server, None, None]:
    """Run a service with one unary method: bare, or with an interceptor."""
    with _module("benchmarks.service", side, cores=cores) as server:
        yield server


@contextmanager
def blocking_service(side: str, cores: Cores) -> Generator[Server, None, None]:
    """Run a blocking service with one unary method: bare, or with an interceptor."""
    with _module("benchmarks.blocking_service", side, cores=cores) as server:
        yield server


@contextmanager
def _module(*words: str, cores: Cores) -> Generator[Server, None, None]:
    """Run a Python module that prints its address and serves until it is killed."""
    with cores.of_server():
        process = subprocess.Popen(
            [sys.executable, "-m", *words], stdout=subprocess.PIPE, text=True
        )
    with process:
        try:
            address = next(iter(process.stdout or ()))
            yield Server(address.strip(), _cpu_of(process.pid), pid=process.pid)
        finally:
            process.kill()


def redis_cpu(client: RedisClient) -> Callable[[], float]:
    """A function that returns the CPU seconds that a Redis server has used."""

    def used() -> float:
        info = client("INFO", "cpu")
        return float(info["used_cpu_user"]) + float(info["used_cpu_sys"])

    return used


def _cpu_of(pid: int) -> Callable[[], float]:
    process = psutil.Process(pid)

    def used() -> float:
        times = process.cpu_times()
        return times.user + times.system

    return used
