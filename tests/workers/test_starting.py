"""How a server of several workers starts and ends."""

import asyncio
import signal
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import psutil
from grpc import StatusCode, aio
from relevo.v1 import store_pb2_grpc
from relevo.v1.store_pb2 import PutResponse
from support.clients.calls import key, put
from support.failures import failure_of
from support.network.proxy import Proxy
from support.redis.client import RedisClient
from support.redis.process import RedisProcess
from support.servers.process import relevo_ends, relevo_serve
from support.servers.workers import connected_to_all, pids_of, workers_serve
from support.waiting import until, until_async

PutTask: TypeAlias = "asyncio.Task[PutResponse]"


def serve(redis: RedisProcess, *flags: str) -> "tuple[str, ...]":
    """The flags of a server of two workers on this Redis."""
    return ("--store", redis.url, "--workers", "2", *flags)


def test_the_supervisor_loads_no_grpc(own_redis: RedisProcess) -> None:
    """It is a small process without gRPC's threads; its workers have them."""
    with workers_serve("--store", own_redis.url, fresh=True) as server:
        assert "cygrpc" not in libraries(server.process.pid)
        assert all("cygrpc" in libraries(pid) for pid in pids_of(server))
        supervisor = psutil.Process(server.process.pid)
        assert supervisor.num_threads() < min(
            psutil.Process(p).num_threads() for p in pids_of(server)
        )


def libraries(pid: int) -> str:
    """The names of what a process has mapped."""
    return Path(f"/proc/{pid}/maps").read_text("utf-8")


def test_a_port_that_is_taken(own_redis: RedisProcess) -> None:
    """It is refused before a worker starts, also if whoever has it shares it."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = relevo_ends(*serve(own_redis, "--listen", address))
    assert ended.returncode == 1
    assert ended.stderr == f"relevo serve: cannot listen on {address}: the port is taken\n"


def test_workers_that_cannot_start(own_redis: RedisProcess, tmp_path: Path) -> None:
    """The server ends with the exit code and the words of a worker, which are said once."""
    broken = tmp_path / "tls.pem"
    broken.write_text("no certificate")
    tls = ("--tls-certificate", str(broken), "--tls-key", str(broken))
    ended = relevo_ends(*serve(own_redis, *tls))
    assert ended.returncode == 2
    assert ended.stderr.count("relevo serve: tls_certificate, tls_key: ") == 1
    assert "Traceback" not in ended.stderr
    assert "workers.started" not in ended.stderr


def test_workers_that_cannot_go_on(own_redis: RedisProcess) -> None:
    """If no worker serves, and none can start any more, the server ends as one of them would."""
    with workers_serve("--store", own_redis.url, "--health-interval", "0.1") as server:
        with RedisClient(own_redis.url) as client:
            client("HSET", "relevo:layout", "partitions", "3")
        try:
            assert server.wait(60) == 1
        finally:
            with RedisClient(own_redis.url) as client:
                client("DEL", "relevo:layout")
        words = [each for each in server.lines if each.startswith("relevo serve: ")]
        assert len(words) == 1
        assert "partitions" in words[0]


def test_a_server_may_be_told_at_once(own_redis: RedisProcess) -> None:
    """SIGTERM while workers start ends the server in order."""
    with relevo_serve(*serve(own_redis)) as server:  # one of them serves
        server.signal(signal.SIGTERM)
        assert server.wait(30) == 0
        assert server.log[-1]["event"] == "workers.stopped"


CALLS = 4
"""The calls that each of two workers admits of a server's."""
HELD = (
    *("--store-timeout", "60", "--health-interval", "60"),
    *("--max-concurrent-calls", str(2 * CALLS)),
)


async def puts_under_way(channels: Mapping[int, aio.Channel], way: Proxy) -> list[PutTask]:
    """As many Puts as each worker accepts at once, which wait for an answer of Redis."""
    way.to_client.hold()
    under_way: list[PutTask] = []
    for number, channel in channels.items():
        stub: Any = store_pb2_grpc.ContextStoreStub(channel)
        tasks = [asyncio.create_task(put(stub, key(f"{number}-{i}"))) for i in range(CALLS + 1)]
        # One more than its part of the limit: its refusal shows that the others have begun.
        (refused,), rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        assert (await failure_of(refused)).reason == "TOO_MANY_REQUESTS"
        under_way += rest
    return under_way


async def test_calls_in_flight_are_answered(way: Proxy) -> None:
    """SIGTERM: each worker answers what it has begun, and ends; the exit code is 0."""
    store = f"redis://127.0.0.1:{way.port}"
    with workers_serve("--store", store, "--grace", "60", *HELD) as server:
        pids = pids_of(server)
        async with connected_to_all(server) as channels:
            calls = await puts_under_way(channels, way)
            server.signal(signal.SIGTERM)
            await until_async(lambda: len(server.events("server.stopping")) == 2)
            assert not any(call.done() for call in calls)
            way.to_client.let_go()
            assert len(await asyncio.gather(*calls)) == 2 * CALLS
            assert await asyncio.to_thread(server.wait, 30) == 0
    assert not any(map(psutil.pid_exists, pids))


async def test_a_second_signal(way: Proxy) -> None:
    """It ends everything at once, whatever grace calls have."""
    store = f"redis://127.0.0.1:{way.port}"
    with workers_serve("--store", store, "--grace", "600", *HELD) as server:
        pids = pids_of(server)
        async with connected_to_all(server) as channels:
            calls = await puts_under_way(channels, way)
            server.signal(signal.SIGTERM)
            await until_async(lambda: len(server.events("server.stopping")) == 2)
            server.signal(signal.SIGTERM)
            assert await asyncio.to_thread(server.wait, 30) == 128 + signal.SIGTERM
            for result in await asyncio.gather(*calls, return_exceptions=True):
                assert isinstance(result, aio.AioRpcError)
                assert result.code() is StatusCode.UNAVAILABLE
    assert not any(map(psutil.pid_exists, pids))


def test_workers_without_a_supervisor(own_redis: RedisProcess, port: int) -> None:
    """If the supervisor is killed, its workers end by themselves, and the port is free."""
    listen = ("--listen", f"127.0.0.1:{port}")
    with workers_serve("--store", own_redis.url, *listen) as server:
        workers = [psutil.Process(pid) for pid in pids_of(server)]
        try:
            server.signal(signal.SIGKILL)
            assert server.wait() == -signal.SIGKILL
            until(lambda: not any(each.is_running() for each in workers), within=30)
            assert len(server.events("server.stopped")) == 2
        finally:
            for each in workers:  # if they go on, nobody else would end them
                with suppress(psutil.NoSuchProcess):
                    each.kill()
    with relevo_serve(*listen) as again:
        assert again.address == server.address
