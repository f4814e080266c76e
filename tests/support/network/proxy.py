"""A TCP proxy that fails on request: it delays, holds, swallows, cuts and refuses.

It runs on an event loop in a thread of its own, so a test may block while it waits for
a process whose traffic goes through the proxy.
"""

import asyncio
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Self, TypeVar

_CHUNK = 1 << 16
_BACKLOG = 64  # the most queued chunks of one direction before the sender gets backpressure

_Result = TypeVar("_Result")


class Direction:
    """The faults of one direction, for the bytes of all connections.

    They can be changed at any time and from any thread. Chunks keep their order, whatever
    their delays.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.delay: float | Callable[[], float] = 0.0
        """Seconds of delay for each chunk, or a function that returns them chunk by chunk."""
        self.swallow = False
        """Discard bytes while the connection stays open."""
        self.bytes = 0
        """The number of bytes received so far, including discarded ones."""
        self.swallowed = 0
        """The number of bytes discarded so far."""
        self._loop = loop
        self._open = asyncio.Event()
        self._open.set()

    def hold(self) -> None:
        """Hold bytes back until `let_go`."""
        self._loop.call_soon_threadsafe(self._open.clear)

    def let_go(self) -> None:
        """Forward the held bytes."""
        self._loop.call_soon_threadsafe(self._open.set)

    def carry(
        self,
        group: asyncio.TaskGroup,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        connection: "_Connection",
    ) -> None:
        """Forward one connection's bytes and its end, in tasks of the group."""
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_BACKLOG)
        group.create_task(self._take(source, queue, connection))
        group.create_task(self._give(queue, sink))

    async def _take(
        self,
        source: asyncio.StreamReader,
        queue: asyncio.Queue[tuple[float, bytes]],
        connection: "_Connection",
    ) -> None:
        while True:
            chunk = await source.read(_CHUNK)
            self.bytes += len(chunk)
            connection.see(chunk)
            delay = self.delay() if callable(self.delay) else self.delay
            if not connection.is_delayed:
                delay = 0.0
            await queue.put((self._loop.time() + delay, chunk))
            if not chunk:
                return

    async def _give(
        self, queue: asyncio.Queue[tuple[float, bytes]], sink: asyncio.StreamWriter
    ) -> None:
        while True:
            due, chunk = await queue.get()
            await asyncio.sleep(due - self._loop.time())
            await self._open.wait()
            if not chunk:
                if sink.can_write_eof():  # TLS connections cannot be half-closed
                    sink.write_eof()
                else:
                    sink.close()
                return
            if self.swallow:
                self.swallowed += len(chunk)
            else:
                sink.write(chunk)
                await sink.drain()


class _Connection:
    """One connection, which is delayed from the first time on that it has `text`."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self.is_delayed = not text

    def see(self, chunk: bytes) -> None:
        """See a chunk of bytes of either direction."""
        self.is_delayed = self.is_delayed or self._text in chunk


class Proxy:
    """A proxy for a TCP server, on a port of the loopback address. Use with `with`.

    `to_server` and `to_client` are the faults of each direction. With `tls`, clients speak
    TLS with the proxy, which forwards their bytes in plain text. Delays concern the connections
    that have had the text `delayed` only, or all if it is empty.
    """

    def __init__(
        self,
        port: int,
        *,
        host: str = "127.0.0.1",
        tls: ssl.SSLContext | None = None,
        delayed: bytes = b"",
    ) -> None:
        self._target = host, port
        self._delayed = delayed
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._connections: set[asyncio.Task[Any]] = set()
        self._ends: list[asyncio.StreamWriter] = []
        self._refusing = False
        self.to_server = Direction(self._loop)
        self.to_client = Direction(self._loop)
        self.accepted = 0
        """The number of connections accepted so far."""
        self.port = 0
        """The port that the proxy listens on, on 127.0.0.1."""

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._do(asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls))
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self) -> None:
        """Reset every connection. New ones are accepted."""
        self._do(self._break())

    def refuse(self) -> None:
        """Reset every connection, and new ones as soon as they are made, until `accept`."""
        self._refusing = True
        self.cut()

    def accept(self) -> None:
        """Accept connections again."""
        self._refusing = False

    def _do(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Connect to the server, and forward bytes both ways until both have ended."""
        connection = asyncio.current_task()
        assert connection is not None
        self._connections.add(connection)
        ends = [writer]
        self._ends.append(writer)
        try:
            if self._refusing:
                raise ConnectionRefusedError
            self.accepted += 1
            there, onward = await asyncio.open_connection(*self._target)
            ends.append(onward)
            self._ends.append(onward)
            one = _Connection(self._delayed)
            async with asyncio.TaskGroup() as group:
                self.to_server.carry(group, reader, onward, one)
                self.to_client.carry(group, there, writer, one)
        except* (
            OSError,
            asyncio.CancelledError,
        ):  # not reachable; or broken by a peer, or by `cut`
            for end in ends:
                _reset(end)
        else:
            for end in ends:
                end.close()
        finally:
            self._connections.discard(connection)

    async def _break(self) -> None:
        connections = list(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _stop(self) -> None:
        self._server.close()
        self._refusing = True  # connections that were just accepted end by themselves
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            await self._break()
            await asyncio.wait(others, timeout=0.01)
        # A TLS shutdown would wait for the peer: do not perform one.
        for end in self._ends:
            end.transport.abort()
        await asyncio.gather(*(end.wait_closed() for end in self._ends), return_exceptions=True)


def _reset(end: asyncio.StreamWriter) -> None:
    """Reset a connection: bytes in flight are lost, as when a router drops it."""
    connection = end.get_extra_info("socket")
    if connection.fileno() >= 0:  # otherwise the peer closed it first
        now = struct.pack("ii", 1, 0)  # SO_LINGER with zero seconds
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, now)
    end.transport.abort()
