"""A service that waits for a reply which Redis has lost gets an error."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from faststream.redis.subscriber.usecases import stream_subscriber
from relevo_client.actions import DomainAction, QueueLostError
from relevo_client.actions.faststream import ActionQueues
from support.clients.queueing import SERVICE, SOON, Queueing
from support.redis.process import RedisProcess


class Asking:
    """A request for work, and the state of its handler."""

    def __init__(self, asker: ActionQueues, action: DomainAction, queue: str) -> None:
        self._asker = asker
        self._action = action
        self._queue = queue
        self.begun = asyncio.Event()
        self.may_end = asyncio.Event()
        self.answered: asyncio.Future[DomainAction]

    async def ask(self) -> DomainAction:
        """Send the action, and wait for the reply."""
        self.answered = asyncio.get_running_loop().create_future()
        async with self._asker.unless_lost():
            await self._asker.send(self._action, self._queue)
            return await self.answered


@asynccontextmanager
async def asking(redis: RedisProcess, redeliver_after: float = 30) -> AsyncGenerator[Asking]:
    """A service that requests work and waits for the result, and one that works on it."""
    with redis.client() as client:
        queueing = Queueing(redis.url, "test", client)
        asker = queueing.queues(service="asker", redeliver_after=redeliver_after)
        worker = queueing.queues(redeliver_after=redeliver_after)
        each = Asking(asker, queueing.action(), queueing.work)

        @worker.handle(queueing.work)
        async def work(_: DomainAction) -> dict[str, Any]:
            each.begun.set()
            await each.may_end.wait()
            return {}

        @asker.handle(queueing.results)
        async def receive(action: DomainAction) -> None:
            each.answered.set_result(action)

        async with worker, asker:
            yield each
            each.may_end.set()


@pytest.mark.timing
@pytest.mark.parametrize("how", ["emptied", "restarted", "away for 2 s"])
async def test_who_waits_is_told_of_a_loss(how: str) -> None:
    """A waiting service gets the error within 3 s after Redis is back.

    With FastStream's own pause after errors, and the default of redeliver_after.
    """
    with RedisProcess() as redis:
        async with asking(redis) as asked:
            waiting = asyncio.create_task(asked.ask())
            await asked.begun.wait()
            if how == "emptied":
                with redis.client() as client:
                    client("FLUSHALL")
            else:
                redis.stop()
                await asyncio.sleep(2 if "away" in how else 0)
                assert not waiting.done()
                await asyncio.to_thread(redis.start)
            back = time.monotonic()
            with pytest.raises(QueueLostError) as lost:
                await waiting
            assert time.monotonic() - back < 3
            assert lost.value.reason == "QUEUE_LOST"


async def wait_in_vain(queues: ActionQueues) -> None:
    """Wait for a reply that never comes."""
    async with asyncio.timeout(10), queues.unless_lost():
        await asyncio.Event().wait()


async def test_each_replica_is_told_of_a_loss(caplog: pytest.LogCaptureFixture) -> None:
    """Every replica that waits at one queue gets the error, not only the first to see the loss.

    Each logs the loss once; a replica that starts later has lost nothing.
    """
    with RedisProcess() as redis, redis.client() as client:
        queueing = Queueing(redis.url, "test", client)
        replicas = [queueing.queues(service="asker", consumer=name) for name in "abc"]

        async def receive(_: DomainAction) -> None: ...

        for queues in replicas:
            queues.handle(queueing.results)(receive)
        first, second, late = replicas
        async with first, second:
            waiting = [asyncio.create_task(wait_in_vain(each)) for each in (first, second)]
            await asyncio.sleep(0)
            client("FLUSHALL")
            for each in waiting:
                with pytest.raises(QueueLostError):
                    await each
            async with late:
                waiting = [asyncio.create_task(wait_in_vain(each)) for each in replicas]
                done, _ = await asyncio.wait(waiting, timeout=SOON)  # ten looks of each replica
                assert not done
                for each in waiting:
                    each.cancel()
    assert caplog.text.count("was gone: its consumers have begun anew") == 2


async def test_a_replica_at_work_is_told_of_a_loss() -> None:
    """The same holds for a replica that handles a claimed action, and never misses the group."""
    with RedisProcess() as redis, redis.client() as client:
        queueing = Queueing(redis.url, "test", client)
        queues = queueing.queues()
        begun, may_end = asyncio.Event(), asyncio.Event()

        @queues.handle(queueing.work)
        async def work(_: DomainAction) -> None:
            begun.set()
            await may_end.wait()

        client("XGROUP", "CREATE", queueing.work, SERVICE, "0", "MKSTREAM")
        await queueing.send(queueing.action())
        client("XREADGROUP", "GROUP", SERVICE, "gone", "STREAMS", queueing.work, ">")
        lost = """
        redis.call('FLUSHALL')
        redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
        """
        async with queues:
            await begun.wait()
            waiting = asyncio.create_task(wait_in_vain(queues))
            await asyncio.sleep(0)
            client("EVAL", lost, 1, queueing.work, SERVICE)
            with pytest.raises(QueueLostError):
                await waiting
            may_end.set()


async def test_a_loss_is_told_once() -> None:
    """A request after a loss waits for its own reply, without an error."""
    with RedisProcess() as redis, redis.client() as client:
        async with asking(redis) as asked:
            waiting = asyncio.create_task(asked.ask())
            await asked.begun.wait()
            client("FLUSHALL")
            with pytest.raises(QueueLostError):
                await waiting
            again = asyncio.create_task(asked.ask())
            asked.may_end.set()
            assert (await again).action_type == "test.work.done"


@pytest.mark.parametrize("seconds", [0, 2])
async def test_redis_comes_back_with_its_data(
    monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """If Redis comes back with its data, nothing is lost: the reply comes, and there is no error.

    A reply over a broken connection comes after `redeliver_after`.
    """
    # FastStream's own pause: five seconds.
    monkeypatch.setattr(stream_subscriber, "CONSUME_ERROR_BACKOFF_SECONDS", 0.1)
    with RedisProcess("--appendonly", "yes", "--appendfsync", "no") as redis:
        async with asking(redis, redeliver_after=1) as asked:
            waiting = asyncio.create_task(asked.ask())
            await asked.begun.wait()
            redis.stop()
            await asyncio.sleep(seconds)
            await asyncio.to_thread(redis.start)
            asked.may_end.set()
            assert (await waiting).action_type == "test.work.done"


async def test_a_block_that_a_loss_would_end_ends_otherwise() -> None:
    """Without a loss, the block ends like its body: by error, timeout or cancellation."""
    queues = Queueing("redis://127.0.0.1:1", "test", None).queues()  # type: ignore[arg-type]
    for error in (ZeroDivisionError, TimeoutError, asyncio.CancelledError):
        with pytest.raises(error):
            async with queues.unless_lost():
                raise error
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0), queues.unless_lost():
            await asyncio.Event().wait()

    async def wait() -> None:
        async with queues.unless_lost():
            await asyncio.Event().wait()

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
