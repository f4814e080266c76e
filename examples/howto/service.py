"""A service on asyncio: works with its caller's context, and calls another one with it."""

import asyncio
import logging
from typing import Any

from grpc import aio
from relevo.demo.v1 import rag_platform_pb2_grpc as grpc_api
from relevo.demo.v1.rag_platform_pb2 import RunAgentRequest, RunAgentResponse, SearchRequest
from relevo_client import (
    AsyncContextClient,
    Fallback,
    Policy,
    aio_context_channel,
    aio_server_interceptor,
    require_context,
    require_entry,
)

log = logging.getLogger(__name__)

STORE, SEARCH, ADDRESS = "localhost:7390", "localhost:50052", "localhost:50051"
POLICY = Policy(
    no_reference=Fallback.REJECT,  # a call has to name a context
    unavailable=Fallback.LAST_KNOWN,  # the store cannot answer: go on with the last copy
)


class Execution(grpc_api.ExecutionServiceServicer):
    """Answers messages as the agent of the call's context."""

    def __init__(self, search: "grpc_api.QueryServiceAsyncStub") -> None:
        self._search = search

    async def RunAgent(
        self, request: RunAgentRequest, context: aio.ServicerContext[Any, Any]
    ) -> RunAgentResponse:
        """Answer one message with what the search finds."""
        if require_entry().is_stale:
            log.warning("the store is away: %s may be outdated", require_entry().key)
        model = require_context().llm_config["model"]
        found = await self._search.Search(
            SearchRequest(text=request.text), timeout=context.time_remaining()
        )
        return RunAgentResponse(text=f"{model} says: {found.passages[0].text}")


async def main() -> None:
    """Serve until Ctrl-C. Calls in flight have two seconds to end."""
    async with (
        AsyncContextClient(STORE) as contexts,
        aio_context_channel(aio.insecure_channel(SEARCH)) as channel,
    ):
        interceptor = aio_server_interceptor(contexts, trust_callers=True, policy=POLICY)
        server = aio.server(interceptors=[interceptor])
        execution = Execution(grpc_api.QueryServiceStub(channel))
        grpc_api.add_ExecutionServiceServicer_to_server(execution, server)
        server.add_insecure_port(ADDRESS)
        await server.start()
        try:
            # `wait_for_termination` would not do: if it is cancelled, `stop` waits for no call.
            await asyncio.Event().wait()
        finally:
            await server.stop(2)


if __name__ == "__main__":
    asyncio.run(main())
