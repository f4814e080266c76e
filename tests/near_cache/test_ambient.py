"""What is current around a lookup stays there: the stream that it begins serves all callers."""

from typing import Any

from grpc import aio
from relevo_client import (
    AsyncContextClient,
    CacheOptions,
    ContextRef,
    ExecutionContext,
    current_ref,
    use_context,
)
from relevo_server.server import Server
from support.clients.either import KEY
from support.waiting import until_async


class Opening(aio.StreamStreamClientInterceptor):
    """Sees which context is current where streams are opened."""

    def __init__(self) -> None:
        self.seen: list[ContextRef | None] = []

    async def intercept_stream_stream(
        self, continuation: Any, client_call_details: Any, request_iterator: Any
    ) -> Any:
        """Look."""
        self.seen.append(current_ref())
        return await continuation(client_call_details, request_iterator)


async def test_no_context_is_current_in_the_task(server: Server) -> None:
    """An asyncio client's stream begins in the task of its first lookup, but not in its context."""
    opening = Opening()
    async with aio.insecure_channel(server.address, interceptors=[opening]) as channel:
        client = AsyncContextClient(channel=channel, cache=CacheOptions())
        async with client:
            ref = await client.put(KEY, ExecutionContext())

            async def is_local() -> bool:
                return client.peek(ref) is not None

            with use_context(await client.get(KEY)):
                assert current_ref() == ref
                await until_async(is_local)
    assert opening.seen == [None]
