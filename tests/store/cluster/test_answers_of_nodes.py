"""The answers of Redis Cluster's nodes: their addresses, and that they cannot run a command now."""

import asyncio
from contextlib import suppress

import pytest
from redis import exceptions as redis_errors
from relevo_server.storage.redis.cluster import Cluster
from support.redis.fake import answering_redis


async def test_a_master_without_a_host_is_who_was_asked() -> None:
    """A node that omits its own host gets the address at which it was asked, also amid other calls.

    While it reports the masters, a command to it fails, and another node moves to the front.
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


@pytest.mark.parametrize("refusal", ["TRYAGAIN Multiple keys request", "MOVED 1 {}", "ASK 1 {}"])
async def test_a_command_that_no_node_runs_yet(refusal: str) -> None:
    """A command that is refused while its slot moves is sent again until it runs, and runs once."""
    refused = ran = 0

    async def answer(words: list[bytes]) -> bytes:
        nonlocal refused, ran
        if words == [b"ASKING"]:
            return b"+OK\r\n"
        if refused < 12:  # more than one round, if it is sent from node to node
            refused += 1
            return f"-{refusal.format(f'127.0.0.1:{port}')}\r\n".encode()
        ran += 1
        return b"+OK\r\n"

    async with answering_redis(answer) as port:
        cluster = Cluster(f"redis+cluster://127.0.0.1:{port}", timeout=60, max_connections=1)
        assert await cluster.execute_command("SET", "", "", "moving") == b"OK"
        await cluster.aclose()
    assert (refused, ran) == (12, 1)


@pytest.mark.parametrize("refusal", ["TRYAGAIN Multiple keys request", "MOVED 1 {}"])
async def test_a_slot_that_moves_for_too_long(refusal: str) -> None:
    """If a slot moves for longer than the command's timeout, the command fails with that reason."""

    async def answer(_: list[bytes]) -> bytes:
        return f"-{refusal.format(f'127.0.0.1:{port}')}\r\n".encode()

    async with answering_redis(answer) as port:
        cluster = Cluster(f"redis+cluster://127.0.0.1:{port}", timeout=1, max_connections=1)
        with pytest.raises((redis_errors.TryAgainError, ConnectionError), match=r"Multiple|agree"):
            await cluster.execute_command("SET", "", "", "moving")
        await cluster.aclose()


@pytest.mark.parametrize("refusal", ["CLUSTERDOWN The cluster is down", "LOADING Redis is loading"])
async def test_an_outage_is_told_at_once(refusal: str) -> None:
    """An outage fails the command at once: it outlasts a call, whose caller may have a fallback."""
    asked = 0

    async def answer(_: list[bytes]) -> bytes:
        nonlocal asked
        asked += 1
        return f"-{refusal}\r\n".encode()

    async with answering_redis(answer) as port:
        cluster = Cluster(f"redis+cluster://127.0.0.1:{port}", timeout=60, max_connections=1)
        with pytest.raises((redis_errors.ClusterDownError, redis_errors.BusyLoadingError)):
            await cluster.execute_command("SET", "", "", "lost")
        await cluster.aclose()
    assert asked == 1
