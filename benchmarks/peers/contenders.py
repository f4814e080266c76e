"""The servers that are compared, and how each is called.

The messages of Dapr and etcd are made by hand: each has two fields. Nothing of theirs is needed to
call them.
"""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from relevo.v1.store_pb2 import Consistency, GetRequest, PutRequest

from benchmarks import samples, servers
from benchmarks.calls import path
from benchmarks.cores import Cores
from benchmarks.peers import programs
from benchmarks.peers.fields import field
from benchmarks.scale.generator import REQUEST_ID, Target

_STORE = "statestore"
_DAPR = "/dapr.proto.runtime.v1.Dapr/"
_ETCD = "/etcdserverpb.KV/"


class Calls(NamedTuple):
    """A method of a running server, and its requests."""

    target: Target
    requests: Sequence[bytes]


@dataclass(frozen=True)
class Contender:
    """A running server."""

    pid: int
    calls: Mapping[str, Calls]
    """Its calls by what they do: Get or Put, and how."""


def _contender(server: servers.Server) -> Contender:
    """A server with Relevo's methods."""
    put = Target(server.address, path("Put"), REQUEST_ID)
    get = Target(server.address, path("Get"))
    return Contender(
        server.pid,
        {
            "Put": Calls(put, [_put(i) for i in range(samples.ENTRIES)]),
            "Get": Calls(get, _gets(Consistency.CONSISTENCY_STRONG)),
            "Get, cached": Calls(get, _gets(Consistency.CONSISTENCY_CACHED)),
        },
    )


@contextmanager
def relevo(store: str, prefix: str, cores: Cores) -> Generator[Contender, None, None]:
    """`relevo serve`: Gets of both consistencies, and Puts."""
    with servers.relevo(store, prefix, cores) as server:
        yield _contender(server)


@contextmanager
def echo(cores: Cores) -> Generator[Contender, None, None]:
    """A grpc.aio server that answers with constant messages."""
    with servers.echo("asyncio", cores) as server:
        yield _contender(server)


@contextmanager
def dapr(binary: str, redis: str, cores: Cores) -> Generator[Contender, None, None]:
    """Dapr's state API, on the same Redis."""
    with programs.daprd(binary, redis, _STORE, cores) as server:
        get, save = (Target(server.address, _DAPR + name) for name in ("GetState", "SaveState"))
        store = field(1, _STORE.encode())
        names = [f"c-{i:06}".encode() for i in range(samples.ENTRIES)]
        yield Contender(
            server.pid,
            {
                "Put": Calls(
                    save, [store + field(2, field(1, name) + field(2, _value())) for name in names]
                ),
                "Get": Calls(get, [store + field(2, name) for name in names]),
            },
        )


@contextmanager
def etcd(binary: str, cores: Cores) -> Generator[Contender, None, None]:
    """etcd, one member, whose Gets are linearizable."""
    with programs.etcd(binary, cores) as server:
        get, put = (Target(server.address, _ETCD + name) for name in ("Range", "Put"))
        names = [f"c-{i:06}".encode() for i in range(samples.ENTRIES)]
        yield Contender(
            server.pid,
            {
                "Put": Calls(put, [field(1, name) + field(2, _value()) for name in names]),
                "Get": Calls(get, [field(1, name) for name in names]),
            },
        )


def _value() -> bytes:
    """The value that the peers store: the same bytes as Relevo's context."""
    return samples.context().SerializeToString()


def _put(number: int) -> bytes:
    key = samples.entry_keys()[number]
    return PutRequest(key=key, context=samples.context()).SerializeToString()


def _gets(consistency: Consistency) -> Sequence[bytes]:
    return [
        GetRequest(key=key, consistency=consistency).SerializeToString()
        for key in samples.entry_keys()
    ]
