"""A minimal gRPC client that generates load of unary calls at little CPU.

A client on grpc.aio needs as much CPU for a call as a server does, so it would
measure itself. This one implements only as much of HTTP/2 (RFC 9113) as gRPC needs:
the header block is constant, requests are serialized by the caller, answers are
counted but not parsed. A call takes a fifth of the server's CPU for it, most of that
in the kernel.
"""

import asyncio
import struct
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import cast

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_END_STREAM = _ACK = 0x1
_END_HEADERS = 0x4
_INITIAL_WINDOW_SIZE = 4
_FRAME = struct.Struct(">HBBBI")  # length in two parts, type, flags, stream
_WINDOW = (1 << 31) - 1
_FIRST_WINDOW = (1 << 16) - 1


@asynccontextmanager
async def connected(
    address: str, metadata: Sequence[tuple[str, str]] = ()
) -> AsyncGenerator["Http2Client", None]:
    """Connect a client to host:port, and close it at the end. Its calls carry the metadata."""
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(lambda: Http2Client(metadata), host, int(port))
    try:
        yield client
    finally:
        await client.close()


class Http2Client(asyncio.Protocol):
    """One connection. `load` keeps a number of calls in flight on it."""

    def __init__(self, metadata: Sequence[tuple[str, str]] = ()) -> None:
        self._metadata = metadata
        self._transport: asyncio.Transport  # once it is connected
        self._unread = b""
        self._last_stream = -1
        self._send_window = _FIRST_WINDOW
        self._received = 0
        self._started: dict[int, float] = {}
        self._answered: set[int] = set()
        self._latencies: list[float] = []
        self._in_flight = 0
        self._header_block = b""
        self._requests: Iterator[bytes] = iter(())
        self._request = b""
        self._done: asyncio.Future[None] | None = None
        self._lost = asyncio.Event()

    async def load(
        self, method: str, requests: Iterator[bytes], in_flight: int, seconds: float
    ) -> tuple[list[float], float]:
        """Keep `in_flight` calls in flight for `seconds`.

        Returns each call's latency and the elapsed time, in seconds. Raises
        ConnectionError if the connection breaks, or a call gets no answer.
        """
        loop = asyncio.get_running_loop()
        peer = self._transport.get_extra_info("peername")
        self._header_block = _header_block(method, peer, self._metadata)
        self._requests, self._request = requests, next(requests)
        self._latencies, self._in_flight = [], in_flight
        self._done = loop.create_future()
        start = time.perf_counter()
        loop.call_later(seconds, self._end)
        self._transport.write(self._calls())
        await self._done
        return self._latencies, time.perf_counter() - start

    async def close(self) -> None:
        """Close the connection. A server's shutdown waits for that."""
        self._transport.abort()
        await self._lost.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start with flow-control windows that never block the server's answers."""
        self._transport = cast("asyncio.Transport", transport)
        settings = struct.pack(">HI", _INITIAL_WINDOW_SIZE, _WINDOW)
        self._transport.write(_PREFACE + _frame(_SETTINGS, 0, 0, settings) + _grant(_WINDOW >> 1))

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the load in progress."""
        self._lost.set()
        self._fail(f"the connection is lost: {exc}")

    def data_received(self, data: bytes) -> None:
        """Handle whole frames, and start a call for each one that has ended."""
        data = self._unread + data
        out: list[bytes] = []
        start = 0
        while len(data) - start >= _FRAME.size:
            high, low, kind, flags, stream = _FRAME.unpack_from(data, start)
            begin = start + _FRAME.size
            end = begin + (high << 8 | low)
            if end > len(data):
                break
            start = end
            if kind == _DATA:
                self._answered.add(stream)
                self._received += end - begin
            elif kind == _HEADERS:
                if flags & _END_STREAM:
                    self._ended(stream, data[begin:end])
            elif kind == _WINDOW_UPDATE:
                if stream == 0:
                    self._send_window += int.from_bytes(data[begin:end], "big")
            elif kind in (_SETTINGS, _PING):
                if not flags & _ACK:
                    out.append(_frame(kind, _ACK, 0, data[begin:end] if kind == _PING else b""))
            elif kind in (_RST_STREAM, _GOAWAY):
                self._fail(f"the server ended the stream or connection: {data[begin:end]!r}")
        self._unread = data[start:]
        if self._received > _WINDOW >> 2:
            out.append(_grant(self._received))
            self._received = 0
        out.append(self._calls())
        self._transport.write(b"".join(out))

    def _calls(self) -> bytes:
        """The frames of new calls, up to `in_flight` calls and the server's window."""
        out: list[bytes] = []
        while len(self._started) < self._in_flight:
            message = b"\0" + len(self._request).to_bytes(4, "big") + self._request
            if len(message) > self._send_window:
                break
            self._send_window -= len(message)
            self._last_stream += 2
            out += (
                _frame(_HEADERS, _END_HEADERS, self._last_stream, self._header_block),
                _frame(_DATA, _END_STREAM, self._last_stream, message),
            )
            self._request = next(self._requests)
            self._started[self._last_stream] = time.perf_counter()
        return b"".join(out)

    def _ended(self, stream: int, trailers: bytes) -> None:
        self._latencies.append(time.perf_counter() - self._started.pop(stream))
        if stream not in self._answered:  # an error has a status, and no message
            self._fail(f"a call failed: {trailers!r}")
        self._answered.discard(stream)
        if not self._started and not self._in_flight and self._done and not self._done.done():
            self._done.set_result(None)

    def _end(self) -> None:
        self._in_flight = 0

    def _fail(self, text: str) -> None:
        if self._done and not self._done.done():
            self._done.set_exception(ConnectionError(text))


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return _FRAME.pack(len(payload) >> 8, len(payload) & 0xFF, kind, flags, stream) + payload


def _grant(size: int) -> bytes:
    return _frame(_WINDOW_UPDATE, 0, 0, size.to_bytes(4, "big"))


def _header_block(method: str, peer: tuple[str, int], metadata: Sequence[tuple[str, str]]) -> bytes:
    """A constant header block, without references to the dynamic table (RFC 7541, 6.2.2).

    gRPC's own clients send metadata such as a token in this form too, anew with each call.
    """

    def field(name: bytes, value: str) -> bytes:
        return name + _length(len(value)) + value.encode()

    def named(name: str) -> bytes:
        return field(b"\0", name)

    return b"".join(
        (
            b"\x83\x86",  # :method POST, :scheme http
            field(b"\x04", method),  # :path
            field(b"\x01", f"{peer[0]}:{peer[1]}"),  # :authority
            field(named("te"), "trailers"),
            field(named("content-type"), "application/grpc"),
            field(named("grpc-timeout"), "5S"),  # as every client of the store sets one
            *(field(named(name), value) for name, value in metadata),
        )
    )


def _length(value: int) -> bytes:
    """The length of a text that is not compressed, as an integer of 7 bits (RFC 7541, 5.1)."""
    if value < 0x7F:
        return bytes([value])
    out, value = b"\x7f", value - 0x7F
    while value >= 0x80:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])
