"""Consumers that are killed, and a Redis that loses its connections or its data."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from faststream.redis.subscriber.usecases import stream_subscriber
from redis import ConnectionError as RedisConnectionError
from relevo_client import AsyncContextClient, ContextRef, require_context
from relevo_client.actions import DomainAction
from relevo_client.actions.faststream import ActionQueues
from relevo_client.testing import LocalStore
from support.clients.queueing import SERVICE, SOON, Queueing
from support.clients.worker_process import WorkerProcess
from support.redis.process import RedisProcess


async def test_a_consumer_is_killed_at_work(
    queueing: Queueing, store: LocalStore, contexts: AsyncContextClient, ref: ContextRef
) -> None:
    """If a consumer is killed amid its work, another one handles the action, with its context."""
    action = queueing.action(tenant_id="acme", context_ref=ref)
    await queueing.send(action)
    async with WorkerProcess.running(queueing, store.address) as worker:
        assert await worker.line() == "u-1"
    assert queueing.pending() == 1

    queues = queueing.queues(contexts)

    @queues.handle(queueing.work)
    async def work(_: DomainAction) -> dict[str, Any]:
        return {"user": require_context().user_id}

    async with queues:
        await queueing.until(lambda: queueing.sent(queueing.results))
        await queueing.until_done()
    (result,) = queueing.sent(queueing.results)
    assert result.payload == {"user": "u-1"}
    assert result.action_id == action.reply({}).action_id


async def sent(queues: ActionQueues, action: DomainAction, queue: str) -> None:
    """Send an action; repeat it if the connection was to the Redis that stopped."""
    for _ in range(5):
        with suppress(RedisConnectionError):
            return await queues.send(action, queue)
    raise AssertionError


@pytest.mark.parametrize("how", ["emptied", "restarted"])
async def test_redis_loses_its_data(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    """After Redis lost its data, consumers create the groups again, and handle new actions."""
    # FastStream's own pause: five seconds.
    monkeypatch.setattr(stream_subscriber, "CONSUME_ERROR_BACKOFF_SECONDS", 0.1)
    with RedisProcess() as redis, redis.client() as client:
        queueing = Queueing(redis.url, "test", client)
        queues = queueing.queues(redeliver_after=4 * SOON)
        seen: list[object] = []

        @queues.handle(queueing.work)
        async def work(action: DomainAction) -> None:
            seen.append(action.payload["n"])

        async with queues:
            await queues.send(queueing.action(payload={"n": 1}), queueing.work)
            await queueing.until(lambda: seen == [1])
            await queueing.until_done()
            if how == "emptied":
                client("FLUSHALL")
            else:
                redis.stop()
                await asyncio.to_thread(redis.start)
            await sent(queues, queueing.action(payload={"n": 2}), queueing.work)
            await queueing.until(lambda: seen == [1, 2])
            await queueing.until_done()
            await queueing.until(lambda: "its consumers have begun anew" in caplog.text)


async def test_redis_is_full() -> None:
    """On a full Redis, actions are still claimed and handled, and none is lost."""
    with RedisProcess() as redis, redis.client() as client:
        queueing = Queueing(redis.url, "test", client)
        queues = queueing.queues()
        done: list[DomainAction] = []

        @queues.handle(queueing.work)
        async def work(action: DomainAction) -> None:
            done.append(action)

        client("XGROUP", "CREATE", queueing.work, SERVICE, "0", "MKSTREAM")
        await queueing.send(queueing.action())
        client("XREADGROUP", "GROUP", SERVICE, "gone", "STREAMS", queueing.work, ">")
        async with queues, queues.unless_lost():
            client("CONFIG", "SET", "maxmemory", 1)
            await queueing.until_done()
        assert len(done) == 1


async def test_redis_is_not_there() -> None:
    """A consumer that cannot start raises an error, and leaves no task behind."""
    with RedisProcess() as redis:
        url = redis.url
    queues = Queueing(url, "test", None).queues()  # type: ignore[arg-type]

    @queues.handle("q")
    async def work(_: DomainAction) -> None: ...

    with pytest.raises(RedisConnectionError):
        async with queues:
            pytest.fail("must not begin")
