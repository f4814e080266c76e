"""Agent execution: searches for passages and lets the language model answer from them."""

import asyncio
import sys
from typing import Any

from grpc import aio
from relevo.demo.v1 import rag_platform_pb2_grpc as grpc_api
from relevo.demo.v1.rag_platform_pb2 import RunAgentRequest, RunAgentResponse, SearchRequest
from relevo_client import (
    AsyncContextClient,
    aio_client_interceptors,
    aio_server_interceptor,
    require_context,
)

from relevo_demo.language_model import answer_as
from relevo_demo.observation import observe
from relevo_demo.services.serving import failing_like_callee, serve
from relevo_demo.waiting import measured


class Execution(grpc_api.ExecutionServiceServicer):
    """Answers as the agent of the call's context."""

    def __init__(
        self, contexts: AsyncContextClient, query: "grpc_api.QueryServiceAsyncStub"
    ) -> None:
        self._contexts = contexts
        self._query = query

    async def RunAgent(
        self, request: RunAgentRequest, context: aio.ServicerContext[Any, Any]
    ) -> RunAgentResponse:
        """Search, then answer."""
        settings = require_context()
        async with failing_like_callee(context):
            found = await self._query.Search(
                SearchRequest(text=" ".join([*request.history, request.text])),
                timeout=context.time_remaining(),
            )
        answer = answer_as(
            settings, request.text, [(p.collection_id, p.text) for p in found.passages]
        )
        seen = observe(
            "execution",
            self._contexts,
            "llm_config.model",
            "llm_config.temperature",
            "llm_config.max_tokens",
            "llm_config.context_tokens",
            "agent_config.system_prompt",
            "agent_config.answer_template",
            "agent_config.cite_sources",
        )
        return RunAgentResponse(text=answer, observations=[seen, *found.observations])


async def main(store: str, query: str) -> None:
    """Serve until SIGTERM."""
    async with (
        AsyncContextClient(store) as contexts,
        aio.insecure_channel(query, interceptors=aio_client_interceptors()) as channel,
    ):
        interceptor = aio_server_interceptor(contexts, trust_callers=True)
        server = aio.server(interceptors=measured(interceptor))  # or [interceptor], outside a demo
        grpc_api.add_ExecutionServiceServicer_to_server(
            Execution(contexts, grpc_api.QueryServiceStub(channel)), server
        )
        await serve(server)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
