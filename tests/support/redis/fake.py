"""A fake Redis with scripted replies, for replies that a real one rarely gives."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

HELLO = b"%1\r\n$5\r\nproto\r\n:3\r\n"
"""The reply to HELLO."""


@asynccontextmanager
async def answering_redis(
    answer: Callable[[list[bytes]], Awaitable[bytes]],
) -> AsyncGenerator[int, None]:
    """Run a server that replies with `answer`, or hangs up if that is empty. Yields its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while words := await _command(reader):
                answered = await answer(words)
                if not answered:
                    break
                writer.write(answered)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def _command(reader: asyncio.StreamReader) -> list[bytes]:
    """The next command's words; none if the client has hung up."""
    words: list[bytes] = []
    if header := await reader.readline():
        for _ in range(int(header[1:])):
            size = int((await reader.readline())[1:])
            words.append((await reader.readexactly(size + 2))[:-2])
    return words


@asynccontextmanager
async def refusing_redis(error: str) -> AsyncGenerator[str, None]:
    """Run a server on which only scripts fail, with this error. Yields its URL."""

    async def answer(words: list[bytes]) -> bytes:
        match words[0].upper():
            case b"EVALSHA" | b"EVAL":
                return f"-{error}\r\n".encode()
            case b"HELLO":
                return HELLO
            case _:
                return b"+OK\r\n"

    async with answering_redis(answer) as port:
        yield f"redis://127.0.0.1:{port}"
