"""Ports of the loopback address that are kept for a server that comes later, or again."""

import socket

HOST = "127.0.0.1"
ANYWHERE = f"{HOST}:0"
"""The address of a server that takes a free port."""


def reserved(port: int = 0) -> socket.socket:
    """A bound socket that keeps a port, by default a free one, until it is closed.

    It does not listen, so a server that sets SO_REUSEADDR can: gRPC, Redis and asyncio do.
    """
    bound = socket.socket()
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((HOST, port))
    except BaseException:
        bound.close()
        raise
    return bound
