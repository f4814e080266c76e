"""Runs daprd and etcd, if their binaries are there.

Neither is part of this project. A binary is the one that DAPRD or ETCD names, or the one of the
PATH. Both can be built with Go, each in an empty folder after `go mod init peers`:

    go get go.etcd.io/etcd/server/v3@latest && go build -o etcd go.etcd.io/etcd/server/v3

    go get github.com/dapr/dapr/cmd/daprd@latest
    go build -tags stablecomponents -o daprd github.com/dapr/dapr/cmd/daprd
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import grpc
from support.network.ports import ReservedPort

from benchmarks.cores import Cores

_WITHIN = 60.0
_IN_MEMORY = Path("/dev/shm")  # noqa: S108 - no secrets are written


class Running(NamedTuple):
    """A peer's server."""

    address: str
    pid: int


def found(name: str) -> str | None:
    """The path of a peer's binary, or None if it is not there."""
    return os.environ.get(name.upper()) or shutil.which(name)


@contextmanager
def daprd(binary: str, redis: str, store: str, cores: Cores) -> Generator[Running, None, None]:
    """Run daprd alone, without an app, with a state store on Redis."""
    component = f"""
apiVersion: dapr.io/v1alpha1
kind: Component
metadata:
  name: {store}
spec:
  type: state.redis
  version: v1
  metadata:
  - name: redisHost
    value: {redis.partition("://")[2]}
"""

    def words(folder: Path, ports: list[int]) -> list[str]:
        (folder / "store.yaml").write_text(component)
        grpc_port, internal, http = map(str, ports)
        return [
            *(binary, "--app-id", "bench", "--mode", "standalone", "--resources-path", str(folder)),
            *("--dapr-grpc-port", grpc_port, "--dapr-internal-grpc-port", internal),
            *("--dapr-http-port", http, "--dapr-listen-addresses", "127.0.0.1"),
            *("--enable-metrics=false", "--enable-profiling=false", "--log-level", "error"),
        ]

    with _running(words, 3, cores) as running:
        yield running


@contextmanager
def etcd(binary: str, cores: Cores) -> Generator[Running, None, None]:
    """Run an etcd of one member, whose files are in memory if the system has such a folder.

    Redis keeps nothing on a disk here either.
    """

    def words(folder: Path, ports: list[int]) -> list[str]:
        clients, peers = (f"http://127.0.0.1:{port}" for port in ports)
        return [
            *(binary, "--name", "bench", "--data-dir", str(folder / "data")),
            *("--listen-client-urls", clients, "--advertise-client-urls", clients),
            *("--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers),
            *("--initial-cluster", f"bench={peers}", "--log-level", "error"),
        ]

    with _running(words, 2, cores) as running:
        yield running


@contextmanager
def _running(
    words: Callable[[Path, list[int]], list[str]], ports: int, cores: Cores
) -> Generator[Running, None, None]:
    """Run a program, whose first port is gRPC's, until it accepts calls, and kill it at the end."""
    with ExitStack() as stack:
        numbers: list[int] = []
        for _ in range(ports):
            # Go's servers do not share a port with a socket that is bound to it.
            with ReservedPort() as port:
                numbers.append(port.number)
        where = _IN_MEMORY if _IN_MEMORY.is_dir() else None
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=where)))
        with cores.of_server():
            process = stack.enter_context(
                subprocess.Popen(words(folder, numbers), stdout=subprocess.DEVNULL)
            )
        stack.callback(process.kill)
        address = f"127.0.0.1:{numbers[0]}"
        with grpc.insecure_channel(address) as channel:
            grpc.channel_ready_future(channel).result(_WITHIN)
        yield Running(address, process.pid)
