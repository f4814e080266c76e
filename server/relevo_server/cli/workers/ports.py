"""The port that workers share: taken so that no stranger joins it, and held while they run."""

import errno
import socket
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import Any

_ATTEMPTS = 16
"""Free ports that are tried, if a name has several addresses and a port is free at some of them."""


@contextmanager
def held(listen: str, *, is_shared: bool = False) -> Generator[str]:
    """Hold an address for sockets of this user that set SO_REUSEPORT. Gives it, with its port.

    `listen` is host:port; for port 0, a free one is taken. Unless `is_shared`, nobody else may
    listen there when this begins, with or without SO_REUSEPORT. Raises OSError.
    """
    host, _, port = listen.rpartition(":")
    number = 0
    with ExitStack() as stack:
        for attempt in range(_ATTEMPTS):
            try:
                number = _hold(stack, host.strip("[]"), int(port), is_shared=is_shared)
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    if port == "0" and attempt < _ATTEMPTS - 1:
                        continue
                    raise OSError(f"cannot listen on {listen}: the port is taken") from None
                raise OSError(f"cannot listen on {listen}: {error.strerror}") from error
            break
        yield f"{host}:{number}"


def _hold(stack: ExitStack, host: str, port: int, *, is_shared: bool) -> int:
    """Hold a port at each address of a name, and return its number.

    As gRPC does, it is content with some of the addresses: a host without IPv6 has `::1` too.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    unusable = OSError(errno.EADDRNOTAVAIL, "it has no address")
    is_held = False
    with ExitStack() as attempt:
        for family, kind, protocol, _, address in found:
            each = attempt.enter_context(socket.socket(family, kind, protocol))
            if family == socket.AF_INET6:
                each.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                port = port or _free_port(family, address)
                _take(each, (address[0], port, *address[2:]), is_shared=is_shared)
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    raise
                unusable = error
            else:
                is_held = True
        if not is_held:
            raise unusable
        stack.push(attempt.pop_all())
    return port


def _free_port(family: int, address: Any) -> int:
    """A port that is free now. In `_take`, a socket keeps its port only if it has named it."""
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.bind(address)
        number: int = probe.getsockname()[1]
    return number


def _take(each: socket.socket, address: Any, *, is_shared: bool) -> None:
    """Bind a socket, alone unless `is_shared`, and leave it to workers to listen."""
    # Connections of a server that has ended linger, and would keep the address from the next one.
    each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if is_shared:
        each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        each.bind(address)
        return
    # To bind is no proof: two sockets with SO_REUSEADDR can, until one of them listens. So this one
    # listens for a moment. From then on it goes together with sockets that set SO_REUSEPORT only.
    each.bind(address)
    each.listen(1)
    each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    each.shutdown(socket.SHUT_RDWR)
