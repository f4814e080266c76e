"""Messages between a supervisor and a worker: JSON with its length before it, over a socket."""

import asyncio
import json
import socket
import struct
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Self

_LENGTH = struct.Struct(">I")
Message = Mapping[str, Any]


class Channel:
    """One end of the connection, in an event loop."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, end: socket.socket) -> Self:
        """The end that has this socket, which it closes."""
        return cls(*await asyncio.open_unix_connection(sock=end))

    async def send(self, message: Message) -> None:
        """Send a message. Raises ConnectionError if the other end is closed."""
        self._writer.write(_frame(message))
        await self._writer.drain()

    async def receive(self) -> Message | None:
        """The next message, None at the end."""
        try:
            (length,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
            return _message(await self._reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def close(self) -> None:
        """Close this end, once what was sent is on its way."""
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()


def send(end: socket.socket, message: Message) -> None:
    """Send a message without an event loop. Raises OSError."""
    end.setblocking(True)
    end.sendall(_frame(message))


def receive(end: socket.socket) -> Message | None:
    """The next message, without an event loop; None at the end."""
    prefix = _exactly(end, _LENGTH.size)
    if len(prefix) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(prefix)
    body = _exactly(end, length)
    return _message(body) if len(body) == length else None


def _exactly(end: socket.socket, size: int) -> bytes:
    """So many bytes; fewer at the end."""
    found = bytearray()
    while len(found) < size:
        part = end.recv(size - len(found))
        if not part:
            break
        found += part
    return bytes(found)


def _frame(message: Message) -> bytes:
    body = json.dumps(message).encode()
    return _LENGTH.pack(len(body)) + body


def _message(body: bytes) -> Message:
    message: Message = json.loads(body)
    return message
