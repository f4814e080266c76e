"""Consistency: which reads of a client the server may answer from its memory."""

from typing import Any

import pytest
from grpc import aio
from relevo.v1.store_pb2 import Consistency, GetRequest
from relevo_client import (
    AsyncContextClient,
    CacheOptions,
    ContextKey,
    ContextRef,
    ExecutionContext,
)
from relevo_server.server import Server

KEY = ContextKey("conversation", "acme", "c1")
STRONG, CACHED = Consistency.CONSISTENCY_STRONG, Consistency.CONSISTENCY_CACHED


class Recorder(aio.UnaryUnaryClientInterceptor):
    """Records the consistency of Gets."""

    def __init__(self) -> None:
        self.asked: list[Consistency] = []

    async def intercept_unary_unary(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        """Record the consistency, and continue the call."""
        if isinstance(request, GetRequest):
            self.asked.append(request.consistency)
        return await continuation(client_call_details, request)


@pytest.mark.parametrize("cache, fenced", [(CacheOptions(), CACHED), (None, STRONG)])
async def test_what_resolve_asks_for(
    server: Server, cache: CacheOptions | None, fenced: Consistency
) -> None:
    """Only `resolve` with a near cache and a fence accepts a cached answer; `get` never does."""
    recorder = Recorder()
    async with aio.insecure_channel(server.address, interceptors=[recorder]) as channel:
        async with AsyncContextClient(channel=channel, timeout=10) as owner:
            ref = await owner.put(KEY, ExecutionContext())
        for target, wanted in ((ref, fenced), (KEY, STRONG), (ContextRef(KEY), STRONG)):
            # A new client each time, with an empty cache.
            async with AsyncContextClient(channel=channel, timeout=10, cache=cache) as client:
                await client.resolve(target)
                await client.get(KEY, min_revision=ref.revision)
            assert recorder.asked == [wanted, STRONG]
            recorder.asked.clear()
