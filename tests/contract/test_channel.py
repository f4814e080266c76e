"""The connection settings that client and server must agree on."""

import asyncio
import json
from contextlib import closing
from typing import Any

from relevo.v1 import store_pb2
from relevo_client import CHANNEL_OPTIONS
from relevo_server.server import Server
from relevo_server.settings import Settings

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS, PING, GOAWAY = 4, 6, 7
ACK = 1

ALLOWED_INTERVAL = 5.0
"""Seconds between two pings that a server must allow."""
PATIENCE = 5
"""This many early pings make a gRPC server send GOAWAY."""


def frame(kind: int, payload: bytes = b"", *, flags: int = 0) -> bytes:
    """An HTTP/2 frame for the connection."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + bytes(4) + payload


async def read_frame(reader: asyncio.StreamReader) -> tuple[int, int, bytes]:
    """The next frame: its type, flags and payload."""
    header = await reader.readexactly(9)
    payload = await reader.readexactly(int.from_bytes(header[:3], "big"))
    return header[3], header[4], payload


class IdleConnection:
    """An HTTP/2 connection without calls, which can ping."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        writer.write(PREFACE + frame(SETTINGS))

    async def ping(self) -> str:
        """Ping. Returns "answered", or the debug data of the server's GOAWAY."""
        self._writer.write(frame(PING, b"are you?"))
        while True:
            kind, flags, payload = await read_frame(self._reader)
            if kind == SETTINGS and not flags & ACK:
                self._writer.write(frame(SETTINGS, flags=ACK))
            elif kind == PING and not flags & ACK:
                self._writer.write(frame(PING, payload, flags=ACK))
            elif kind == PING:
                assert payload == b"are you?"
                return "answered"
            elif kind == GOAWAY:
                return payload[8:].decode()


async def test_idle_pings_as_frequent_as_allowed_are_answered() -> None:
    """A client may ping an idle connection every 5 s, for any time, but not more often.

    The refusal of more pings shows that the server counts them.
    """
    async with Server(Settings(listen="127.0.0.1:0")) as server:
        host, _, port = server.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        with closing(writer):
            connection = IdleConnection(reader, writer)
            assert await connection.ping() == "answered"
            for _ in range(PATIENCE - 1):
                await asyncio.sleep(ALLOWED_INTERVAL * 1.01)  # the test waits for time itself
                assert await connection.ping() == "answered"
            answers = ["answered"]
            while answers[-1] == "answered" and len(answers) < 10 * PATIENCE:
                answers.append(await connection.ping())
            assert answers[-1] == "too_many_pings"


def test_the_client_pings_no_more_often_than_allowed() -> None:
    """The client's channels ping, and less often than servers allow."""
    options: dict[str, Any] = dict(CHANNEL_OPTIONS)
    assert ALLOWED_INTERVAL * 1000 < options["grpc.keepalive_time_ms"] < 60_000


def test_what_is_tried_again() -> None:
    """The channel retries calls of the store a few times if they are UNAVAILABLE, or it stopped."""
    options: dict[str, Any] = dict(CHANNEL_OPTIONS)
    (method,) = json.loads(options["grpc.service_config"])["methodConfig"]
    service = store_pb2.DESCRIPTOR.services_by_name["ContextStore"]
    assert method["name"] == [{"service": service.full_name}]
    assert method["retryPolicy"]["retryableStatusCodes"] == ["UNAVAILABLE", "CANCELLED"]
    assert 1 < method["retryPolicy"]["maxAttempts"] <= 5
