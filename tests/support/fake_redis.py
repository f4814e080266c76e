"""A Redis that answers every script with the same error, for errors that are hard to come by."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

_HELLO = b"%1\r\n$5\r\nproto\r\n:3\r\n"


@asynccontextmanager
async def refusing_redis(error: str) -> AsyncGenerator[str, None]:
    """The URL of a server that agrees to everything but scripts, which end with this error."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while header := await reader.readline():
            words: list[bytes] = []
            for _ in range(int(header[1:])):
                size = int((await reader.readline())[1:])
                words.append((await reader.readexactly(size + 2))[:-2])
            match words[0].upper():
                case b"EVALSHA" | b"EVAL":
                    writer.write(f"-{error}\r\n".encode())
                case b"HELLO":
                    writer.write(_HELLO)
                case _:
                    writer.write(b"+OK\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
