"""The near cache amid faults: it serves correct entries or none, and then recovers.

A copy expires by its reader's own clock, which is read before each look: on a busy machine signs of
life are late, and a copy expires earlier. Only what promises a recovery in time is of `timing`.
"""

import asyncio
import logging
import signal
import time
from contextlib import suppress

import pytest
from relevo_client import AsyncContextClient, ContextKey, ExecutionContext, UnavailableError
from support.clients.readers import KEY, OPTIONS, SLACK, Reader
from support.network.proxy import Proxy
from support.redis.client import RedisClient
from support.redis.process import RedisProcess
from support.servers.process import RelevoProcess, relevo_serve
from support.waiting import until_async

OTHER = ContextKey("conversation", "acme", "c2")
RECOVERY = 5.0
"""Seconds within which a client must work again, much less than gRPC's keepalive."""
LONG = pytest.param(10.0, marks=pytest.mark.long)


@pytest.mark.timing
@pytest.mark.parametrize("way", ["to_client", "to_server", "both"])
async def test_a_silent_connection(
    path: Proxy,
    owner: AsyncContextClient,
    reader: Reader,
    way: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Cached entries expire within `max_staleness` on a silent connection, which is replaced.

    If only requests are lost, entries stay current, and a request without an answer shows the loss.
    """
    caplog.set_level(logging.DEBUG)
    directions = [path.to_client, path.to_server] if way == "both" else [getattr(path, way)]
    for direction in directions:
        direction.swallow = True
    assert reader.sees(OTHER) is None
    begin = time.monotonic()
    await owner.put(KEY, ExecutionContext(user_id="after"))
    while time.monotonic() - begin < OPTIONS.max_staleness + SLACK:
        if reader.sees() == "before":
            assert time.monotonic() - begin < OPTIONS.max_staleness + SLACK
        await asyncio.sleep(0.01)
    assert reader.sees() != "before"

    async def is_given_up() -> bool:
        return "the watch of the store has ended: TimeoutError" in caplog.messages

    await until_async(is_given_up, within=OPTIONS.max_staleness)
    for direction in directions:
        direction.swallow = False
    seconds = await reader.until_it_sees("after")
    print(f"converged {seconds:.2f} s after the connection was mended")
    assert seconds < RECOVERY


async def test_a_connection_that_stalls_and_goes_on(
    path: Proxy, owner: AsyncContextClient, reader: Reader
) -> None:
    """Signs of life that were held up for long do not make an old copy new."""
    path.to_client.hold()
    before = path.to_client.bytes
    await until_async(lambda: path.to_client.bytes > before, what="a sign of life")
    path.to_server.hold()  # a newer one would rightly prolong the use of the cached entry
    await asyncio.sleep(OPTIONS.max_staleness + 2 * SLACK)  # the test waits for time itself
    await owner.put(KEY, ExecutionContext(user_id="after"))
    assert reader.sees() is None
    path.to_client.let_go()
    path.to_server.let_go()
    seen: set[str | None] = set()

    async def is_new() -> bool:
        seen.add(reader.sees())
        return "after" in seen

    await until_async(is_new, within=20)
    assert seen <= {None, "after"}


async def test_a_slow_network(path: Proxy, owner: AsyncContextClient, reader: Reader) -> None:
    """With any message delay, no cached entry is used for longer than `max_staleness`."""
    path.to_client.delay = 0.7
    before = "before"
    for name in ("first", "second", "third"):
        await owner.put(KEY, ExecutionContext(user_id=name))
        begin = time.monotonic()
        while reader.sees() != name:
            late = time.monotonic() - begin
            assert late < 20
            if reader.sees() == before:
                assert late < OPTIONS.max_staleness + SLACK
            await asyncio.sleep(0.01)
        before = name


@pytest.mark.parametrize("seconds", [2.0, LONG])
async def test_redis_that_stands_still(
    redis: RedisProcess, owner: AsyncContextClient, reader: Reader, seconds: float
) -> None:
    """If a server cannot read the log, it sends no sign of life: entries expire, then recover."""
    redis.signal(signal.SIGSTOP)
    try:
        await asyncio.sleep(OPTIONS.max_staleness + SLACK)
        assert reader.sees() is None
        await asyncio.sleep(seconds - OPTIONS.max_staleness - SLACK)
    finally:
        redis.signal(signal.SIGCONT)
    print(f"converged {await reader.until_it_sees('before'):.2f} s after Redis went on")
    await owner.put(KEY, ExecutionContext(user_id="after"))
    await reader.until_it_sees("after")


@pytest.mark.parametrize("seconds", [1.3, LONG])
async def test_a_server_that_stands_still(
    process: RelevoProcess, redis: RedisProcess, reader: Reader, seconds: float
) -> None:
    """If a server is stopped, its clients' cached entries expire; later they see the changes."""
    process.signal(signal.SIGSTOP)
    try:
        with relevo_serve("--store", redis.url) as other:
            async with AsyncContextClient(other.address) as owner:
                await owner.put(KEY, ExecutionContext(user_id="after"))
            await asyncio.sleep(OPTIONS.max_staleness + SLACK)
            assert reader.sees() is None
            await asyncio.sleep(seconds - OPTIONS.max_staleness - SLACK)
    finally:
        process.signal(signal.SIGCONT)
    print(f"converged {await reader.until_it_sees('after'):.2f} s after the server went on")


async def test_a_server_that_is_killed(
    process: RelevoProcess, redis: RedisProcess, port: int, reader: Reader
) -> None:
    """After a kill, the next server reports which entries have changed, and which have not."""
    process.signal(signal.SIGKILL)
    process.wait()
    await reader.until_it_sees(None)
    listen = ("--listen", f"127.0.0.1:{port}")
    with relevo_serve("--store", redis.url, *listen):
        print(f"converged {await reader.until_it_sees('before'):.2f} s after the restart")
    with relevo_serve("--store", redis.url) as elsewhere:
        async with AsyncContextClient(elsewhere.address) as owner:
            await owner.put(KEY, ExecutionContext(user_id="after"))
    with relevo_serve("--store", redis.url, *listen):
        print(f"converged {await reader.until_it_sees('after'):.2f} s after the restart")


@pytest.mark.parametrize("how", ["FLUSHALL", "SIGKILL"])
async def test_redis_that_loses_everything(
    redis: RedisProcess, client: RedisClient, owner: AsyncContextClient, reader: Reader, how: str
) -> None:
    """Lost entries are not served, and new ones are."""
    if how == "FLUSHALL":
        client("FLUSHALL")
    else:
        redis.signal(signal.SIGKILL)
        redis.stop()
        redis.start()
    await reader.until_it_forgets("before", within=OPTIONS.max_staleness + SLACK)

    async def is_put() -> bool:
        with suppress(UnavailableError):  # the server may still be reconnecting
            await owner.put(KEY, ExecutionContext(user_id="after"))
            return True
        return False

    await until_async(is_put)
    print(f"converged {await reader.until_it_sees('after'):.2f} s after the next Put")


@pytest.mark.parametrize(
    "redis", [("--appendonly", "yes", "--appendfsync", "always")], indirect=True
)
async def test_redis_that_comes_back_with_its_data(
    redis: RedisProcess, owner: AsyncContextClient, reader: Reader
) -> None:
    """Acknowledged writes survive a SIGKILL of Redis; versions and watches continue from there."""
    acknowledged = await owner.put(KEY, ExecutionContext(user_id="after"))
    redis.signal(signal.SIGKILL)
    redis.stop()
    await reader.until_it_forgets("before", within=OPTIONS.max_staleness + SLACK)
    await reader.until_it_forgets("after", within=OPTIONS.max_staleness + SLACK)
    redis.start()
    print(f"converged {await reader.until_it_sees('after'):.2f} s after the restart")
    later = await owner.put(
        KEY, ExecutionContext(user_id="later"), if_version=acknowledged.revision
    )
    assert later.revision > acknowledged.revision
    await reader.until_it_sees("later")
