"""A consumer in a process of its own, which says when it has begun and never ends its work.

Arguments: the URL of Redis, the queue, the service, the address of the store.
"""

import asyncio
import logging
import sys

from faststream.redis import RedisBroker
from relevo_client import AsyncContextClient, require_context
from relevo_client.actions import DomainAction
from relevo_client.actions.faststream import ActionQueues


async def main(url: str, queue: str, service: str, address: str) -> None:
    """Consume until killed."""
    async with AsyncContextClient(address) as contexts:
        broker = RedisBroker(url, logger=logging.getLogger("faststream"))
        queues = ActionQueues(broker, contexts, service=service, redeliver_after=0.2)

        @queues.handle(queue)
        async def work(_: DomainAction) -> None:
            sys.stdout.write(f"{require_context().user_id}\n")
            sys.stdout.flush()
            await asyncio.Event().wait()

        async with queues:
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
