"""Workers that run: one server to its callers, whatever becomes of its processes."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from relevo.v1 import store_pb2_grpc
from support.clients.calls import get, key, put
from support.redis.process import RedisProcess
from support.servers.process import RelevoProcess
from support.servers.serving import health_of
from support.servers.workers import (
    SteadyLoad,
    connected_to_all,
    pids_of,
    workers_serve,
    zombies_of,
)
from support.telemetry.scraped import Scraped
from support.waiting import until, until_async

FLAGS = ("--metrics-listen", "127.0.0.1:0", "--worker-timeout", "5", "--health-interval", "0.2")
"""A worker is replaced after 5 s of silence: for less, a busy machine may give it no CPU."""


@pytest.fixture(scope="module")
def server(own_redis: RedisProcess) -> Iterator[RelevoProcess]:
    """A server of two workers, which each test leaves as it has found it."""
    with workers_serve("--store", own_redis.url, *FLAGS) as server:
        yield server


async def until_whole(server: RelevoProcess, without: set[int]) -> None:
    """Wait until two workers serve, none of which is one of these processes."""

    def is_whole() -> bool:
        started = len(server.events("server.started"))
        ended = len(server.events("worker.ended")) + len(server.events("server.stopped"))
        pids = pids_of(server)
        return started - ended == 2 == len(pids) and not pids & without

    await until_async(is_whole, within=60, what="two workers")
    assert not zombies_of(server)


async def test_each_worker_answers(server: RelevoProcess) -> None:
    """Every worker answers at the one address, from the one store, and says who it is."""
    addresses = {each["address"] for each in server.events("server.started")}
    assert addresses == {server.events("workers.started")[0]["address"]}
    async with connected_to_all(server) as channels:
        for number, channel in channels.items():
            stub: Any = store_pb2_grpc.ContextStoreStub(channel)
            await put(stub, key(f"c{number}"))
            for other in channels.values():
                await get(store_pb2_grpc.ContextStoreStub(other), key(f"c{number}"))
            health: Any = health_pb2_grpc.HealthStub(channel)
            response = await health.Check(health_pb2.HealthCheckRequest(service="liveness"))
            assert response.status == health_pb2.HealthCheckResponse.SERVING
    assert await health_of(server.address, "readiness") == "SERVING"


def test_each_line_names_its_worker(server: RelevoProcess) -> None:
    """A line of a worker has its number; a line without one is the supervisor's."""
    numbers = [each["worker"] for each in server.events("server.started")]
    assert sorted(numbers[:2]) == [1, 2]
    assert "worker" not in server.events("workers.started")[0]
    assert "worker" not in server.events("metrics.started")[0]


async def test_metrics_are_of_the_whole(server: RelevoProcess) -> None:
    """Each call is counted once, whichever worker answered; the store is counted once."""

    def counted() -> float:
        return Scraped.of(server).value(
            "rpc_server_call_duration_seconds_count", rpc_method="relevo.v1.ContextStore/Put"
        )

    before = counted()
    async with connected_to_all(server) as channels:
        for number, channel in channels.items():
            for _ in range(10 * number):
                await put(store_pb2_grpc.ContextStoreStub(channel), key(f"counted-{number}"))
    assert counted() == before + 30

    def is_sampled() -> bool:
        return Scraped.of(server).value("relevo_server_store_log_length") > 0

    until(is_sampled)
    scraped = Scraped.of(server)
    assert scraped.value("relevo_server_workers") == 2
    assert scraped.value("relevo_server_store_available") == 1
    assert scraped.value("target_info") == 1


async def test_one_is_killed_under_load(server: RelevoProcess) -> None:
    """It is replaced; no call fails that a client's retries save; what it counted stays."""
    before = Scraped.of(server)
    victim = min(pids_of(server))
    async with SteadyLoad(server) as load:
        os.kill(victim, signal.SIGKILL)
        await load.goes_on()
        await until_whole(server, {victim})
        await load.goes_on()
    after = Scraped.of(server)
    name = "rpc_server_call_duration_seconds_count"
    assert after.value(name) >= before.value(name) > 0
    restarts = "relevo_server_worker_restarts_total"
    assert after.value(restarts) == before.value(restarts) + 1
    ended = server.events("worker.ended")[-1]
    assert (ended["pid"], ended["code"]) == (victim, -signal.SIGKILL)


async def test_one_that_hangs(server: RelevoProcess) -> None:
    """A worker that shows no sign of life is killed and replaced."""
    victim = max(pids_of(server))
    os.kill(victim, signal.SIGSTOP)
    await until_whole(server, {victim})
    assert server.events("worker.silent")[-1]["pid"] == victim


async def test_a_rolling_restart_under_load(server: RelevoProcess) -> None:
    """On SIGUSR2 every worker is replaced, one after the other, and no call fails."""
    former = pids_of(server)
    async with SteadyLoad(server) as load:
        server.signal(signal.SIGUSR2)
        await until_async(lambda: server.events("workers.renewed"), within=60)
        await load.goes_on()
        await until_whole(server, former)
    # At any time there was one process more at most, and never one less.
    steps = {"server.started": 1, "server.stopped": -1}
    serving = 2
    begun = next(i for i, each in enumerate(server.log) if each["event"] == "workers.renewing")
    for each in server.log[begun:]:
        serving += steps.get(each["event"], 0)
        assert serving in (2, 3)
