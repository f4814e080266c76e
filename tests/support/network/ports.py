"""Ports of the loopback address, for servers that have to be named before they are there."""

import socket
from typing import Self

NOBODY = 1
"""A port where nobody listens."""


class ReservedPort:
    """A free port that only who knows it may listen on. Use with `with`, or close it.

    A socket is bound to it and does not listen, so the system gives it to nobody else, neither
    by port 0 nor to a connection as its own end; connections to it are refused. Servers that
    set SO_REUSEADDR, as gRPC, Redis and asyncio do, can listen on it meanwhile, and again.
    `also` reserves the port that is so much above it, too.
    """

    def __init__(self, *, also: int = 0) -> None:
        self.number, self._sockets = _bound(also)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give it back. Who listens on it is not touched."""
        for each in self._sockets:
            each.close()


def _bound(also: int) -> tuple[int, list[socket.socket]]:
    while True:
        first = _socket(0)
        number: int = first.getsockname()[1]
        if not also:
            return number, [first]
        try:
            return number, [first, _socket(number + also)]
        except (OSError, OverflowError):  # taken, or there is no such port
            first.close()


def _socket(port: int) -> socket.socket:
    bound = socket.socket()
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", port))
    except BaseException:
        bound.close()
        raise
    return bound
