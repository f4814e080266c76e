"""The answers of Redis Cluster's nodes: their addresses, and that they cannot run a command now."""

import asyncio
from contextlib import suppress

import pytest
from redis import exceptions as redis_errors
from relevo_server.storage.redis.client import Client
from relevo_server.storage.redis.cluster import Cluster
from relevo_server.storage.redis.pool import ask_each
from support.redis.fake import HELLO, answering_redis


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
        finding = asyncio.create_task(cluster.masters())
        await asked.wait()
        with pytest.raises(ConnectionError):
            await cluster.execute_command("GET", "", "", "lost")
        told.set()
        assert await ask_each(await finding, "PING") == [b"PONG"]
        await cluster.aclose()


async def test_nothing_is_asked_twice() -> None:
    """The state of a Cluster, or a sample of its usage, asks once who the masters are.

    It asks each of them once for each thing.
    """
    asked: list[str] = []

    async def answer(words: list[bytes]) -> bytes:
        command = " ".join(word.decode() for word in words[:2])
        match command.split()[0]:
            case "HELLO":
                return HELLO
            case "CLUSTER":
                asked.append(command)
                return f"*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$0\r\n\r\n:{port}\r\n".encode()
            case "INFO":
                asked.append(command)
                text = "used_memory:7\r\nmaxmemory:9\r\nmaxmemory_policy:noeviction\r\n"
                return f"${len(text)}\r\n{text}\r\n".encode()
            case "TIME":
                return b"*2\r\n$1\r\n1\r\n$1\r\n0\r\n"
            case _:
                return b"-ERR unknown\r\n"

    async with answering_redis(answer) as port:
        url = f"redis+cluster://127.0.0.1:{port}"
        client = Client(url, timeout=5, max_connections=2)
        status = await client.database_status()
        assert (status.used_bytes, status.eviction_policy) == (7, "noeviction")
        assert sorted(asked) == ["CLUSTER SLOTS", "INFO memory", "INFO server"]
        asked.clear()
        assert (await client.sampler("relevo", 1).sample()).size == 7
        assert sorted(asked) == ["CLUSTER SLOTS", "INFO memory"]
        await client.close()


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
