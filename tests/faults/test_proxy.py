"""The proxy of other tests works as documented."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import chain, repeat

import pytest
from support.network.ports import NOBODY
from support.network.proxy import Proxy
from support.waiting import until_async


class Echo:
    """A TCP server that returns what it gets, line by line, and counts the lines."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Echo until the other side ends."""
        while line := await reader.readline():
            self.lines.append(line)
            writer.write(line)
        writer.close()


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    """A running echo server."""
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    echo.port = server.sockets[0].getsockname()[1]
    yield echo
    server.close()


@pytest.fixture
async def proxy(echo: Echo) -> AsyncIterator[Proxy]:
    """A proxy before it."""
    with Proxy(echo.port) as proxy:
        yield proxy


class Line:
    """A connection through the proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, text: bytes) -> None:
        """Send a line."""
        self.writer.write(text + b"\n")

    async def answer(self) -> bytes:
        """The next line that arrives; empty if the connection has ended or broken."""
        async with asyncio.timeout(5):
            try:
                return (await self.reader.readline()).removesuffix(b"\n")
            except ConnectionError:
                return b""


@pytest.fixture
async def line(proxy: Proxy) -> AsyncIterator[Line]:
    """One connection."""
    line = Line(*await asyncio.open_connection("127.0.0.1", proxy.port))
    yield line
    line.writer.close()


async def test_bytes_and_ends_pass(proxy: Proxy, line: Line) -> None:
    """Bytes pass both ways, and the end of one side reaches the other."""
    big = b"x" * 30_000
    for text in (b"one", big):
        line.send(text)
        assert await line.answer() == text
    assert proxy.to_server.bytes == proxy.to_client.bytes == len(big) + 5
    line.writer.write_eof()
    assert await line.answer() == b""
    assert proxy.accepted == 1


async def test_delays_keep_the_order(proxy: Proxy, line: Line) -> None:
    """Chunks are delayed, and none overtakes another."""
    delays = chain([0.1], repeat(0.0))
    proxy.to_server.delay = lambda: next(delays)
    begin = time.monotonic()
    for text in (b"1", b"2", b"3"):
        line.send(text)
        await asyncio.sleep(0)
    assert [await line.answer() for _ in range(3)] == [b"1", b"2", b"3"]
    assert time.monotonic() - begin >= 0.1


async def test_what_is_held_comes_later(proxy: Proxy, line: Line, echo: Echo) -> None:
    """Held bytes arrive when they are released, and not before."""
    proxy.to_client.hold()
    line.send(b"held")
    await until_async(lambda: proxy.to_client.bytes)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await line.reader.read(1)
    assert echo.lines == [b"held\n"]
    proxy.to_client.let_go()
    assert await line.answer() == b"held"


async def test_what_is_swallowed_never_comes(proxy: Proxy, line: Line, echo: Echo) -> None:
    """Discarded bytes never arrive; the connection stays, and later bytes arrive."""
    proxy.to_client.swallow = True
    line.send(b"lost")
    await until_async(lambda: proxy.to_client.swallowed)
    proxy.to_client.swallow = False
    line.send(b"kept")
    assert await line.answer() == b"kept"
    assert echo.lines == [b"lost\n", b"kept\n"]


async def test_a_cut_ends_connections(proxy: Proxy, line: Line) -> None:
    """A cut ends all connections, held or not; a new connection works."""
    line.send(b"one")
    assert await line.answer() == b"one"
    proxy.to_server.hold()
    line.send(b"held")
    await until_async(lambda: proxy.to_server.bytes > 4)
    proxy.cut()
    assert await line.answer() == b""
    proxy.to_server.let_go()
    again = Line(*await asyncio.open_connection("127.0.0.1", proxy.port))
    again.send(b"two")
    assert await again.answer() == b"two"
    again.writer.close()


async def test_a_cut_is_a_reset(proxy: Proxy, line: Line) -> None:
    """After a cut, both sides get a reset, not an end of file."""
    line.send(b"one")
    assert await line.answer() == b"one"
    proxy.cut()
    with pytest.raises(ConnectionResetError):
        await line.reader.read(1)


async def test_a_proxy_that_refuses(proxy: Proxy, line: Line) -> None:
    """While the proxy refuses, connections end without a byte; then it accepts again."""

    async def try_again() -> bytes:
        try:
            again = Line(*await asyncio.open_connection("127.0.0.1", proxy.port))
        except ConnectionResetError:  # broken before this side has noticed that it exists
            return b""
        again.send(b"hello")
        answer = await again.answer()
        again.writer.close()
        return answer

    proxy.refuse()
    assert await line.answer() == b""
    assert await try_again() == b""
    proxy.accept()
    assert await try_again() == b"hello"


async def test_a_server_that_is_not_there() -> None:
    """If no server listens behind the proxy, a connection through it ends at once."""
    # It may end before this side sees it open.
    with Proxy(NOBODY) as proxy, suppress(ConnectionResetError):
        line = Line(*await asyncio.open_connection("127.0.0.1", proxy.port))
        assert await line.answer() == b""
        line.writer.close()
