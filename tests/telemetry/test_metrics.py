"""The metrics of a real server with `--metrics-listen`, scraped over HTTP."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from grpc import StatusCode, aio
from relevo.v1.store_pb2 import Consistency, LeaseRequest, ReleaseRequest
from support.clients.calls import TIMEOUT, Stub, context, get, invalidate, key, put
from support.clients.watching import Watch
from support.redis.client import RedisClient
from support.redis.process import RedisProcess
from support.servers.process import RelevoProcess, relevo_serve
from support.servers.serving import stub_of
from support.telemetry.prometheus_names import label, metric
from support.telemetry.scraped import Scraped, fetch
from support.telemetry.table import instruments
from support.waiting import until_async

DOCUMENTED = [each for each in instruments().values() if each.meter == "relevo_server"]
SECRET = "s3cret-value"  # noqa: S105
_KINDS = {"histogram": "histogram", "observable counter": "counter"}


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisProcess]:
    """A Redis of the module's own, with a limit of memory."""
    with RedisProcess("--maxmemory", "512mb") as process:
        yield process


@pytest.fixture
def metered(redis: RedisProcess) -> Iterator[RelevoProcess]:
    """A server on an empty Redis, whose metrics can be scraped."""
    with RedisClient(redis.url) as client:
        client("FLUSHALL")
        client("SCRIPT", "FLUSH")
    flags = ("--store", redis.url, "--metrics-listen", "127.0.0.1:0", "--partitions", "4")
    with relevo_serve(*flags, "--health-interval", "0.1", "--grace", "0.5") as server:
        yield server


@pytest.fixture
async def stub(metered: RelevoProcess) -> AsyncIterator[Stub]:
    """A stub of that server."""
    async with stub_of(metered.address) as stub:
        yield stub


async def refused(call: Any, code: StatusCode) -> None:
    """Await a call that ends with this status."""
    with pytest.raises(aio.AioRpcError) as caught:
        await call
    assert caught.value.code() is code


def calls(scraped: Scraped, method: str, code: str = "OK") -> float:
    """How many calls of a method ended with a status."""
    return scraped.value(
        "rpc_server_call_duration_seconds_count",
        rpc_system_name="grpc",
        rpc_method=f"relevo.v1.ContextStore/{method}",
        rpc_response_status_code=code,
    )


async def use_everything(stub: Stub) -> None:
    """Use what the server has instruments for, with a marked value."""
    await put(stub, key("c1"), context(user_id=SECRET))
    for _ in range(3):
        await get(stub, key("c1"))
    for _ in range(2):
        await refused(get(stub, key("none")), StatusCode.NOT_FOUND)
    await refused(put(stub, key(scope="")), StatusCode.INVALID_ARGUMENT)
    async with asyncio.timeout(TIMEOUT):
        while True:  # until the memory is current
            await get(stub, key("c1"), consistency=Consistency.CONSISTENCY_CACHED)
            granted = await stub.Lease(LeaseRequest(key=key("leased")))
            if granted.lease.token:
                break
    await refused(stub.Lease(LeaseRequest(key=key("leased"))), StatusCode.ABORTED)
    await stub.Release(ReleaseRequest(key=key("leased"), lease_token=granted.lease.token))
    await stub.Lease(LeaseRequest(key=key("c1")))


async def test_every_documented_instrument_is_there(metered: RelevoProcess, stub: Stub) -> None:
    """After every RPC was used, each documented instrument is scraped, and none that is not."""
    await use_everything(stub)
    await until_async(lambda: _has(metered, "relevo_server_store_max_size_bytes"))
    scraped = Scraped.of(metered)
    expected = {metric(each): _KINDS.get(each.kind, "gauge") for each in DOCUMENTED}
    assert scraped.types == expected


async def test_every_label_is_documented(metered: RelevoProcess, stub: Stub) -> None:
    """A metric has the labels that are documented and no others: no tenant, key or value."""
    await use_everything(stub)
    scraped = Scraped.of(metered)
    for each in DOCUMENTED:
        if metric(each) in scraped.types:
            assert scraped.labels(metric(each)) <= set(map(label, each.attributes)), each.name
    _, text = fetch(metered, "/metrics")
    assert "acme" not in text
    assert SECRET not in text


async def _has(server: RelevoProcess, name: str) -> bool:
    return name in Scraped.of(server).types


async def test_calls_are_counted(metered: RelevoProcess, stub: Stub) -> None:
    """The durations of RPCs count each call once, by its method and status."""
    await use_everything(stub)
    scraped = Scraped.of(metered)
    assert calls(scraped, "Put") == 1
    assert calls(scraped, "Put", "INVALID_ARGUMENT") == 1
    assert calls(scraped, "Get", "NOT_FOUND") == 2
    assert calls(scraped, "Get") == 3 + scraped.value("relevo_server_cache_lookups_total")
    assert calls(scraped, "Lease", "ABORTED") == 1
    assert calls(scraped, "Lease") == 2
    assert calls(scraped, "Release") == 1
    assert scraped.value("relevo_server_leases_total", relevo_outcome="granted") == 1
    assert scraped.value("relevo_server_leases_total", relevo_outcome="held") == 1
    assert scraped.value("relevo_server_leases_total", relevo_outcome="entry") == 1
    assert scraped.value("relevo_server_leases_total", relevo_outcome="released") == 1
    assert scraped.value("rpc_server_call_duration_seconds_sum") > 0
    assert scraped.value("relevo_server_active_calls") == 0
    # Only what the server itself failed at has an error's type.
    assert not scraped.value("rpc_server_call_duration_seconds_count", error_type="NOT_FOUND")


async def test_operations_of_the_store_are_counted(metered: RelevoProcess, stub: Stub) -> None:
    """Each script has its operations: EVALSHA, and EVAL once after Redis did not know it."""
    for i in range(5):
        await put(stub, key(f"c{i}"))
    scraped = Scraped.of(metered)

    def count(**labels: str) -> float:
        return scraped.value(
            "db_client_operation_duration_seconds_count",
            db_system_name="redis",
            db_stored_procedure_name="write",
            **labels,
        )

    assert count(db_operation_name="EVALSHA") == 5
    assert count(db_operation_name="EVALSHA", error_type="NoScriptError") == 1
    assert count(db_operation_name="EVAL") == 1


async def test_what_the_store_holds(metered: RelevoProcess, stub: Stub) -> None:
    """The store's figures are those of the database, sampled without anybody's scrape."""
    for i in range(20):
        await put(stub, key(f"c{i}", tenant="acme"))
    await invalidate(stub, key("c0"), key("c1"))

    async def is_counted() -> bool:
        scraped = Scraped.of(metered)
        return (
            scraped.value("relevo_server_store_entries") == 18
            and scraped.value("relevo_server_store_log_length") == 22
        )

    await until_async(is_counted)
    scraped = Scraped.of(metered)
    assert scraped.value("relevo_server_store_available") == 1
    assert scraped.value("relevo_server_store_size_bytes") > 500_000
    assert scraped.value("relevo_server_store_max_size_bytes") == 512 << 20


async def test_watchers(metered: RelevoProcess, stub: Stub, redis: RedisProcess) -> None:
    """Streams, subscriptions, events and resets are counted, each as often as it happened."""
    async with Watch(stub) as one, Watch(stub) as two:
        for watch, ids in ((one, ("a", "b")), (two, ("b", "c", "d"))):
            for each in ids:
                await watch.answer(watch.subscribe(key(each)))
        for each in ("a", "b"):  # one watcher, and two
            await put(stub, key(each))
        for watch, events in ((one, 2), (two, 1)):
            for _ in range(events):
                assert (await watch.news()).WhichOneof("event") == "entry"
        scraped = Scraped.of(metered)
        assert scraped.value("relevo_server_watchers") == 2
        assert scraped.value("relevo_server_subscriptions") == 5
        assert scraped.value("relevo_server_watch_events_total") == 3
        assert scraped.value("relevo_server_watch_resets_total") == 0
        assert scraped.value("relevo_server_followers") == 1
        assert 0 < scraped.value("relevo_server_follower_lag_seconds") < 10
        with RedisClient(redis.url) as client:
            client("FLUSHALL")
        for watch in (one, two):
            assert (await watch.news()).WhichOneof("event") == "reset"
        reason = {"relevo_reset_reason": "order_changed"}
        assert Scraped.of(metered).value("relevo_server_watch_resets_total", **reason) == 2

    async def is_over() -> bool:
        scraped = Scraped.of(metered)
        left = ("watchers", "subscriptions", "followers")
        return calls(scraped, "Watch", "CANCELLED") == 2 and not any(
            scraped.value(f"relevo_server_{name}") for name in left
        )

    await until_async(is_over, what="both streams, and all that they had, are gone")


async def test_other_paths_are_not_there(metered: RelevoProcess) -> None:
    """The endpoint serves /metrics and nothing else."""
    status, text = fetch(metered, "/")
    assert (status, text) == (404, "see /metrics\n")
