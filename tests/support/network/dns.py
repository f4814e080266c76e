"""A DNS server for tests, whose names a test moves."""

import asyncio
import ipaddress
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

_A, _IN = 1, 1
_HEADER = struct.Struct("!6H")
_IS_ANSWER = 0x8180
_TTL = 1


class Names(asyncio.DatagramProtocol):
    """The names, each with its IPv4 addresses. A query for another type finds nothing."""

    def __init__(self) -> None:
        self.addresses: dict[str, list[str]] = {}
        """The addresses of each name, in the order in which they are answered."""
        self.queries = 0
        """How many queries for addresses came."""
        self.port = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Learn the port."""
        self._transport: Any = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer a query."""
        self._transport.sendto(self._answer(data), addr)

    def _answer(self, query: bytes) -> bytes:
        labels: list[str] = []
        at = _HEADER.size
        while size := query[at]:
            labels.append(query[at + 1 : at + 1 + size].decode())
            at += 1 + size
        kind, _ = struct.unpack_from("!2H", query, at + 1)
        question = query[_HEADER.size : at + 5]
        found = self.addresses.get(".".join(labels), []) if kind == _A else []
        self.queries += kind == _A
        records = b"".join(
            struct.pack("!3HIH", 0xC000 | _HEADER.size, _A, _IN, _TTL, 4)
            + ipaddress.IPv4Address(each).packed
            for each in found
        )
        number = int.from_bytes(query[:2])
        return _HEADER.pack(number, _IS_ANSWER, 1, len(found), 0, 0) + question + records


@asynccontextmanager
async def names() -> AsyncGenerator[Names]:
    """Serve names on a free port of the loopback address."""
    loop = asyncio.get_running_loop()
    transport, served = await loop.create_datagram_endpoint(Names, local_addr=("127.0.0.1", 0))
    try:
        yield served
    finally:
        transport.close()
