"""What a Redis Cluster says of its nodes, if it leaves out what is known."""

import asyncio
from contextlib import suppress

import pytest
from relevo_server.storage.redis.cluster import Cluster
from support.redis.fake import answering_redis


async def test_a_master_without_a_host_is_who_was_asked() -> None:
    """A node that leaves its own host out is found, though it is not the first to be asked by then.

    While it says which the masters are, a command to it fails, and another node comes first.
    """
    asked, told = asyncio.Event(), asyncio.Event()

    async def answer(words: list[bytes]) -> bytes:
        match words:
            case [b"CLUSTER", b"SLOTS"]:
                asked.set()
                await told.wait()
                return f"*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$0\r\n\r\n:{port}\r\n".encode()
            case [b"GET", _, _, b"moved"]:
                return f"-MOVED 1 ::1:{port}\r\n".encode()  # nobody listens there
            case [b"GET", *_]:
                return b""
            case _:
                return b"+PONG\r\n"

    async with answering_redis(answer) as port:
        cluster = Cluster(f"redis+cluster://127.0.0.1:{port}", timeout=5, max_connections=2)
        with suppress(OSError):
            await cluster.execute_command("GET", "", "", "moved")
        everywhere = asyncio.create_task(cluster.execute_everywhere("PING"))
        await asked.wait()
        with pytest.raises(ConnectionError):
            await cluster.execute_command("GET", "", "", "lost")
        told.set()
        assert await everywhere == [b"PONG"]
        await cluster.aclose()
