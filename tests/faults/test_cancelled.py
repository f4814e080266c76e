"""A cancelled call never passes its reply to the next one (case 26)."""

import asyncio
import random

import pytest
from grpc import aio
from relevo.v1.store_pb2 import BatchGetRequest, GetRequest
from relevo_server.settings import Settings
from support.clients.calls import TIMEOUT, Stub, context, get, key, put
from support.network.proxy import Proxy
from support.redis.process import RedisProcess
from support.waiting import until_async

KEYS = 40
CONNECTIONS = 4


@pytest.fixture
def store_url(redis: RedisProcess, way: Proxy) -> str:
    """The server reaches Redis through the proxy, over very few connections."""
    assert redis.port != way.port
    return f"redis://127.0.0.1:{way.port}"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Few connections, so that each serves many calls, one after the other.

    Redis has time to answer: on a busy machine, a call may wait for more than a second.
    """
    return settings.model_copy(update={"store_connections": CONNECTIONS, "store_timeout": 5.0})


async def fill(stub: Stub) -> None:
    """Put entries that identify themselves."""
    for i in range(KEYS):
        await put(stub, key(f"c{i}"), context(user_id=f"u{i}", metadata={"pad": "x" * (100 * i)}))


async def test_every_answer_is_its_own(stub: Stub, way: Proxy) -> None:
    """Of many concurrent Gets, half of them cancelled, each answered one gets its own entry."""
    await fill(stub)
    rng = random.Random(26)  # noqa: S311
    way.to_server.delay = lambda: rng.uniform(0, 0.004)
    way.to_client.delay = lambda: rng.uniform(0, 0.004)
    answered = cancelled = 0

    async def get_one(i: int) -> None:
        nonlocal answered, cancelled
        call = stub.Get(GetRequest(key=key(f"c{i}")), timeout=TIMEOUT)
        if rng.random() < 0.5:
            asyncio.get_running_loop().call_later(rng.uniform(0, 0.03), call.cancel)
        try:
            entry = (await call).entry
        except asyncio.CancelledError:
            cancelled += 1
        else:
            answered += 1
            assert entry.key == key(f"c{i}")
            assert entry.context.user_id == f"u{i}"

    for _ in range(40):
        await asyncio.gather(*(get_one(rng.randrange(KEYS)) for _ in range(20)))
    assert answered > 100
    assert cancelled > 100


async def test_batches_that_are_cancelled(stub: Stub, way: Proxy) -> None:
    """The answered ones among concurrent batches get their own entries, too."""
    await fill(stub)
    rng = random.Random(26)  # noqa: S311
    way.to_client.delay = lambda: rng.uniform(0, 0.004)
    request = BatchGetRequest(requests=[GetRequest(key=key(f"c{i}")) for i in range(KEYS)])
    for _ in range(40):
        call = stub.BatchGet(request, timeout=TIMEOUT)
        asyncio.get_running_loop().call_later(rng.uniform(0, 0.06), call.cancel)
        i = rng.randrange(KEYS)
        assert (await get(stub, key(f"c{i}"))).entry.context.user_id == f"u{i}"
        try:
            results = (await call).results
        except asyncio.CancelledError:
            continue
        for j, result in enumerate(results):
            assert result.response.entry.context.user_id == f"u{j}"


async def test_calls_that_run_out_of_time(stub: Stub, way: Proxy) -> None:
    """A call that ends with its deadline leaves no reply for the next one on its connection."""
    await fill(stub)
    rng = random.Random(26)  # noqa: S311
    way.to_client.delay = lambda: rng.uniform(0, 0.03)
    late = 0

    async def get_one(i: int) -> None:
        nonlocal late
        request = GetRequest(key=key(f"c{i}"))
        try:
            entry = (await stub.Get(request, timeout=rng.uniform(0.005, 0.1))).entry
        except aio.AioRpcError:
            late += 1
        else:
            assert entry.context.user_id == f"u{i}"

    for _ in range(20):
        await asyncio.gather(*(get_one(rng.randrange(KEYS)) for _ in range(10)))
    assert late > 20
    way.to_client.delay = 0.0
    await asyncio.gather(*(get_one_surely(stub, i) for i in range(KEYS)))


async def get_one_surely(stub: Stub, i: int) -> None:
    """Get an entry, with a long deadline."""
    assert (await get(stub, key(f"c{i}"))).entry.context.user_id == f"u{i}"


@pytest.mark.parametrize("how", ["cancelled", "out of time"])
async def test_later_calls_are_answered(stub: Stub, way: Proxy, how: str) -> None:
    """Cancelled and expired calls do not use up connections: later calls are answered."""
    await fill(stub)
    for _ in range(5 * CONNECTIONS):
        way.to_client.hold()
        await end_some(stub, way, how)
        way.to_client.let_go()
    await asyncio.gather(*(get_one_surely(stub, i) for i in range(KEYS)))


async def end_some(stub: Stub, way: Proxy, how: str) -> None:
    """End calls while the first of them wait for Redis, and others wait for a connection."""
    before = way.to_server.bytes
    deadline = TIMEOUT if how == "cancelled" else 0.1
    calls = [
        stub.Get(GetRequest(key=key(f"c{i}")), timeout=deadline) for i in range(2 * CONNECTIONS)
    ]
    if how == "cancelled":
        await until_async(lambda: way.to_server.bytes > before)
        for call in calls:
            call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    assert {call.cancelled() for call in calls} == {how == "cancelled"}
