"""The worker of the how-to page handles actions, each with its sender's context."""

from collections.abc import Callable

from howto import sender, worker
from relevo_client import AsyncContextClient, ContextKey, ExecutionContext, use_context
from relevo_client.actions import DomainAction
from relevo_client.testing import LocalStore
from support.clients.queueing import Queueing
from support.redis.process import RedisProcess
from support.waiting import until_async

KEY = ContextKey("conversation", "acme", "c-1")


async def test_worker(store: LocalStore, placed: Callable[..., None]) -> None:
    """It replies with the model of the context, and to no queue that it does not allow."""
    store.client.put(KEY, ExecutionContext(embedding_config={"model": "e-1"}))
    with RedisProcess() as process, process.client() as redis:
        placed(worker, REDIS=process.url)
        queueing = Queueing(process.url, "search", redis)
        async with (
            AsyncContextClient(store.address, timeout=10) as contexts,
            worker.queues(contexts) as queues,
        ):
            action = DomainAction(
                action_type="embedding.texts.generate",
                payload={"texts": ["Hello"]},
                callback_queue="elsewhere",
                callback_action_type="embedding.texts.generated",
            )
            with use_context(store.client.resolve(KEY)):
                await queues.send(action, "embedding.generate")
            await sender.send(queues, contexts, KEY, ["Hello"])
            await until_async(lambda: queueing.sent("search.results"))
            (reply,) = queueing.sent("search.results")
            assert reply.payload == {"model": "e-1", "lengths": [5]}
            await until_async(lambda: redis("XLEN", "dead_letters"))
        assert not redis("EXISTS", "elsewhere")
