"""The port that workers share (case 32): nobody else has it, and it is held between workers."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from relevo_server.cli.workers.ports import held


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Closes what a test opens."""
    with ExitStack() as stack:
        yield stack


def listener(stack: ExitStack, port: int, *, shares: bool) -> socket.socket:
    """A socket that listens as gRPC's do. Raises OSError."""
    each = stack.enter_context(socket.socket())
    each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(shares))
    each.bind(("127.0.0.1", port))
    each.listen()
    return each


def number_of(address: str) -> int:
    """The port of an address."""
    return int(address.rpartition(":")[2])


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])  # noqa: S104
def test_only_sockets_that_share(stack: ExitStack, host: str) -> None:
    """Workers can listen on the port that is held; a server that does not share it cannot."""
    port = number_of(stack.enter_context(held(f"{host}:0")))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 5).close()
    with pytest.raises(OSError, match="in use"):
        listener(stack, port, shares=False)
    for _ in range(2):
        listener(stack, port, shares=True)
    stack.enter_context(socket.create_connection(("127.0.0.1", port), 5))


@pytest.mark.parametrize("has_workers", [True, False], ids=["with workers", "before"])
def test_a_second_supervisor(stack: ExitStack, has_workers: bool) -> None:
    """It is refused, also before the first one's workers listen; unless it says that it shares."""
    address = stack.enter_context(held("127.0.0.1:0"))
    if has_workers:
        listener(stack, number_of(address), shares=True)
    with pytest.raises(OSError, match=f"cannot listen on {address}: the port is taken"):
        stack.enter_context(held(address))
    stack.enter_context(held(address, is_shared=True))


@pytest.mark.parametrize("shares", [True, False])
def test_a_port_that_is_taken(stack: ExitStack, shares: bool) -> None:
    """A port on which somebody listens is refused, even if that server shares it."""
    port: int = listener(stack, 0, shares=shares).getsockname()[1]
    with pytest.raises(OSError, match="the port is taken"):
        stack.enter_context(held(f"127.0.0.1:{port}"))


def test_the_port_of_a_server_that_has_ended(stack: ExitStack) -> None:
    """Connections that linger after a server's end do not keep its port."""
    server = listener(stack, 0, shares=False)
    port: int = server.getsockname()[1]
    client = socket.create_connection(("127.0.0.1", port), 5)
    accepted, _ = server.accept()
    accepted.close()  # the side that closes first lingers
    assert client.recv(1) == b""
    client.close()
    server.close()
    assert stack.enter_context(held(f"127.0.0.1:{port}")) == f"127.0.0.1:{port}"


def test_an_address_that_is_not_there(stack: ExitStack) -> None:
    """An address of another host is named."""
    with pytest.raises(OSError, match=r"cannot listen on 192\.0\.2\.1:7390: "):
        stack.enter_context(held("192.0.2.1:7390"))
