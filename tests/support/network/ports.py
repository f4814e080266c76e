"""Ports of the loopback address, for servers whose address is needed before they start."""

import socket
from typing import Self

NOBODY = 1
"""A port on which nothing listens."""


class ReservedPort:
    """A reserved free port for a server of the test. Use with `with`, or close it.

    A socket is bound to the port and does not listen, so the system assigns it to no other
    socket, neither by port 0 nor as a connection's local port; connections to it are refused.
    Servers that set SO_REUSEADDR, as gRPC, Redis and asyncio do, can listen on it repeatedly.
    `also` reserves a second port that is this much above the first.
    """

    def __init__(self, *, also: int = 0) -> None:
        self.number, self._sockets = _bound(also)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the port. A server that listens on it is not affected."""
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
        except (OSError, OverflowError):  # taken, or above the greatest port number
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
