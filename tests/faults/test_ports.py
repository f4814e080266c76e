"""Ports: one server each, unless they are shared explicitly (case 32)."""

import socket
from collections.abc import Iterator

import grpc
import pytest
from relevo.v1 import store_pb2, store_pb2_grpc
from support.clients.calls import context, key
from support.servers.process import RelevoProcess, relevo_ends, relevo_serve


@pytest.fixture
def taken() -> Iterator[int]:
    """A port of the loopback address with a listener."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def works(server: RelevoProcess) -> bool:
    """Whether a server answers."""
    with grpc.insecure_channel(server.address) as channel:
        stub = store_pb2_grpc.ContextStoreStub(channel)
        put = store_pb2.PutRequest(key=key(), context=context())
        return stub.Put(put, timeout=10, wait_for_ready=True).revision > 0


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])  # noqa: S104
def test_a_port_that_is_taken(taken: int, host: str) -> None:
    """The server names the address that is in use, and ends with exit code 1."""
    ended = relevo_ends("--listen", f"{host}:{taken}", "--insecure")
    assert ended.returncode == 1
    assert f"relevo serve: cannot listen on {host}:{taken}" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "server.started" not in ended.stderr


@pytest.mark.parametrize("first", [True, False], ids=["shared", "not shared"])
def test_two_servers_do_not_share_a_port_unasked(first: bool) -> None:
    """A second server without `reuse_port` ends, whatever the first one allows."""
    flags = ["--reuse-port", "true"] if first else []
    with relevo_serve(*flags) as server:
        ended = relevo_ends("--listen", server.address)
        assert ended.returncode == 1
        assert works(server)


def test_a_server_does_not_join_one_that_does_not_share() -> None:
    """A second server with `reuse_port` ends if the first one does not share."""
    with relevo_serve() as server:
        ended = relevo_ends("--listen", server.address, "--reuse-port", "true")
        assert ended.returncode == 1
        assert works(server)


def test_servers_that_share_a_port() -> None:
    """Two servers that both share listen on one port; either may end."""
    share = ("--reuse-port", "true")
    with relevo_serve(*share) as first:
        with relevo_serve(*share, "--listen", first.address) as second:
            assert second.address == first.address
            assert works(second)
        assert works(first)


def test_a_port_is_free_again(port: int) -> None:
    """After a server's end, the next one can use its port."""
    listen = ("--listen", f"127.0.0.1:{port}")
    with relevo_serve(*listen) as server:
        assert works(server)
    with relevo_serve(*listen) as again:
        assert again.address == server.address
        assert works(again)
