"""A consumer in its own process, which its standard input controls.

Each handler that begins writes a line: the context's user, or "-" without a context. It then reads
a line: `return` ends it with a result, `fail` raises. Without a line it waits. The log records of
Relevo are lines, too, after "log: ".

Arguments: the URL of Redis, the queue, the service, the address of the store or "", and further
options of `ActionQueues` as JSON.
"""

import asyncio
import json
import logging
import os
import sys
from contextlib import AsyncExitStack
from typing import Any

from faststream.redis import RedisBroker
from relevo_client import AsyncContextClient, current_context
from relevo_client.actions import DomainAction
from relevo_client.actions.faststream import ActionQueues


async def main(url: str, queue: str, service: str, address: str, options: str) -> None:
    """Consume until killed."""
    logging.basicConfig(format="log: %(message)s", stream=sys.stdout)
    logging.getLogger("relevo_client").setLevel(logging.INFO)
    told = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(told), sys.stdin)
    async with AsyncExitStack() as stack:
        contexts = None
        if address:
            contexts = await stack.enter_async_context(AsyncContextClient(address, timeout=10))
        broker = RedisBroker(url, logger=logging.getLogger("faststream"))
        queues = ActionQueues(broker, contexts, service=service, **json.loads(options))

        @queues.handle(queue)
        async def work(_: DomainAction) -> dict[str, Any]:
            context = current_context()
            print(context.user_id if context else "-", flush=True)
            if (await told.readline()).strip() == b"fail":
                raise ValueError
            return {"pid": os.getpid()}

        async with queues:
            print("ready", flush=True)
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
