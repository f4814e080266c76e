"""A program that counts the calls that gRPC hands to a server while its loop is busy.

    python -m support.servers.handed_over CALLS

Prints how many of the calls were handed over, and the statuses that all ended with. A process of
its own: gRPC's events wake every event loop of a process, and any of them takes their bytes.
"""

import asyncio
import fcntl
import json
import socket
import sys
import termios
from collections.abc import Callable
from contextlib import suppress

from pydantic import SecretStr
from relevo.v1.store_pb2 import GetRequest
from relevo_server.server import Server
from relevo_server.settings import Settings

from support.clients.calls import key
from support.clients.http2 import Http2
from support.waiting import until

GET = "/relevo.v1.ContextStore/Get"


class WakeUps:
    """The bytes by which gRPC wakes a loop: one for each event that it has handed over."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._socket: socket.socket
        self._add_reader = loop.add_reader
        vars(loop)["add_reader"] = self._add

    @property
    def waiting(self) -> int:
        """The number of bytes that nobody has read yet."""
        return int.from_bytes(fcntl.ioctl(self._socket, termios.FIONREAD, bytes(4)), sys.byteorder)

    def _add(self, read_socket: socket.socket, callback: Callable[[], object]) -> None:
        self._socket = read_socket
        self._add_reader(read_socket, callback)


async def _count(calls: int) -> None:
    wake_ups = WakeUps(asyncio.get_running_loop())
    request = GetRequest(key=key("none")).SerializeToString()
    async with Server(Settings(listen="127.0.0.1:0", store=SecretStr("memory://"))) as server:
        with Http2(int(server.address.rpartition(":")[2])) as client:
            first = client.call(GET, request)
            await asyncio.to_thread(client.read_until_ended, first)
            # From here on until the next await, the loop is busy.
            streams = [client.call(GET, request) for _ in range(2 * calls)]
            with suppress(AssertionError):
                until(lambda: wake_ups.waiting >= calls, within=10, what="calls")
            found = wake_ups.waiting
            await asyncio.to_thread(client.read_until_ended, *streams)
            print(json.dumps([found, sorted({client.ended[each] for each in streams})]))


if __name__ == "__main__":
    asyncio.run(_count(int(sys.argv[1])))
