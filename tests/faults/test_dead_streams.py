"""Redis is stopped while clients come and go: their ended streams leave no work behind."""

import asyncio
import signal
import time

import pytest
from support.clients.calls import Stub, context, key, put
from support.clients.watching import Watch
from support.contexts import of_size
from support.redis.client import RedisClient
from support.redis.process import RedisProcess

STREAMS = 30
KEYS = 50
SIZE = 20_000


@pytest.mark.timing
async def test_streams_that_came_and_went_in_an_outage(
    redis: RedisProcess, client: RedisClient, stub: Stub
) -> None:
    """After an outage, open streams are answered at once, and nothing is read for ended ones."""
    keys = [key(f"c{i}") for i in range(KEYS)]
    for each in keys:
        await put(stub, each, of_size(SIZE))
    await put(stub, key("mine"), context(user_id="me"))
    async with Watch(stub) as watch:
        await watch.answer(watch.subscribe(key("other")))  # keeps the log followed
        before = client("INFO", "stats")["total_net_output_bytes"]
        redis.signal(signal.SIGSTOP)
        try:
            for _ in range(STREAMS):
                async with Watch(stub) as gone:
                    for each in keys:
                        gone.subscribe(each)
                    await asyncio.sleep(0.02)  # the test waits for time itself: no event follows
            number = watch.subscribe(key("mine"))
            await asyncio.sleep(0.02)
        finally:
            redis.signal(signal.SIGCONT)
        continued = time.monotonic()
        answer = await watch.answer(number)
        took = time.monotonic() - continued
        await watch.pong(watch.ping())
    assert answer.entry.context.user_id == "me"
    assert took < 2
    # One of them may have been about to be answered.
    read = client("INFO", "stats")["total_net_output_bytes"] - before
    assert read < 2 * KEYS * SIZE, f"{read} bytes were read for streams that are gone"
