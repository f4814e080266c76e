"""A worker: takes actions from a queue, each with its sender's context, and replies."""

import asyncio
import signal
from collections.abc import Mapping
from typing import Any

from faststream.redis import RedisBroker
from relevo_client import AsyncContextClient, Fallback, Policy, require_context
from relevo_client.actions import DomainAction
from relevo_client.actions.faststream import ActionQueues

STORE, REDIS = "localhost:7390", "redis://localhost:6379/0"


def queues(contexts: AsyncContextClient) -> ActionQueues:
    """The worker's queues with their handlers. `service` is the consumer group."""
    worker = ActionQueues(
        RedisBroker(REDIS),
        contexts,
        service="embedding",
        policy=Policy(unavailable=Fallback.LAST_KNOWN),
        reply_queues=["*.results"],  # replies go nowhere else, whatever an action says
    )

    @worker.handle("embedding.generate")
    async def embed(action: DomainAction) -> Mapping[str, Any]:
        """Embed the action's texts. What it returns goes to the action's `callback_queue`."""
        model = require_context().embedding_config["model"]
        return {"model": model, "lengths": [len(text) for text in action.payload["texts"]]}

    return worker


async def main() -> None:
    """Work until SIGTERM or Ctrl-C. An action that is under way is finished first."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with AsyncContextClient(STORE) as contexts, queues(contexts):
        await stopped.wait()


if __name__ == "__main__":
    asyncio.run(main())
