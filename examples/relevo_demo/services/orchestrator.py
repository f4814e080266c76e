"""The orchestrator: the front of the platform, where a conversation's context begins."""

import asyncio
import sys
import time
import uuid
from collections import defaultdict, deque
from typing import Any

from grpc import StatusCode, aio
from relevo.demo.v1 import rag_platform_pb2_grpc as grpc_api
from relevo.demo.v1.rag_platform_pb2 import ConverseRequest, ConverseResponse, RunAgentRequest
from relevo_client import (
    AsyncContextClient,
    ContextKey,
    ExecutionContext,
    RelevoError,
    UnavailableError,
    aio_client_interceptors,
    require_context,
    use_context,
)

from relevo_demo.observation import observe
from relevo_demo.services.serving import failing_like_callee, serve

Call = aio.ServicerContext[Any, Any]
MINUTE = 60.0


class Orchestrator(grpc_api.OrchestratorServiceServicer):
    """Takes the turns. It alone decides which context a call has; the others find theirs.

    It remembers in its process what was said; a real platform has a database for that.
    """

    def __init__(
        self, contexts: AsyncContextClient, execution: "grpc_api.ExecutionServiceAsyncStub"
    ) -> None:
        self._contexts = contexts
        self._execution = execution
        self._said: defaultdict[ContextKey, list[str]] = defaultdict(list)
        self._recent: defaultdict[ContextKey, deque[float]] = defaultdict(deque)

    async def Converse(self, request: ConverseRequest, context: Call) -> ConverseResponse:
        """Find or begin the conversation's context, make it current, and call on."""
        try:
            key = ContextKey("conversation", request.tenant_id, request.conversation_id)
            await self._contexts.get_or_create(key, lambda _: self._begin(request))
            entry = await self._contexts.resolve(key, timeout=context.time_remaining())
        except UnavailableError as error:
            await context.abort(StatusCode.UNAVAILABLE, str(error))
        except RelevoError as error:  # no such agent, or part of its configuration is gone
            await context.abort(StatusCode.FAILED_PRECONDITION, str(error))
        with use_context(entry):
            return await self._converse(key, request, context)

    async def _begin(self, request: ConverseRequest) -> ExecutionContext:
        """The context of a new conversation: who is in it, and what it builds on.

        Of the configuration only names are looked at. What the names stand for
        is composed whenever somebody works with the context.
        """
        tenant = request.tenant_id
        agent_key = ContextKey("agent_config", tenant, request.agent_id)
        agent = (await self._contexts.get(agent_key)).context
        collections = agent.rag_config["collections"]
        return ExecutionContext(
            context_id=uuid.uuid4().hex,
            tenant_id=tenant,
            tenant_tier=agent.tenant_tier,
            agent_id=request.agent_id,
            conversation_id=request.conversation_id,
            session_id=uuid.uuid4().hex,
            user_id=request.user_id,
            includes=(
                agent_key,
                *(ContextKey("collection_config", tenant, name) for name in collections),
            ),
        )

    async def _converse(
        self, key: ContextKey, request: ConverseRequest, context: Call
    ) -> ConverseResponse:
        settings = require_context()
        if not self._admit(key, settings.rate_limits["turns_per_minute"]):
            await context.abort(StatusCode.RESOURCE_EXHAUSTED, "too many turns in a minute")
        said = self._said[key]
        first = max(0, len(said) - settings.agent_config["history_turns"])
        async with failing_like_callee(context):
            answer = await self._execution.RunAgent(
                RunAgentRequest(text=request.text, history=said[first:]),
                timeout=context.time_remaining(),
            )
        said.append(request.text)
        seen = observe(
            "orchestrator",
            self._contexts,
            "rate_limits.turns_per_minute",
            "agent_config.history_turns",
        )
        return ConverseResponse(text=answer.text, observations=[seen, *answer.observations])

    def _admit(self, key: ContextKey, limit: int) -> bool:
        now = time.monotonic()
        recent = self._recent[key]
        while recent and recent[0] <= now - MINUTE:
            recent.popleft()
        if len(recent) >= limit:
            return False
        recent.append(now)
        return True


async def main(store: str, execution: str) -> None:
    """Serve until SIGTERM."""
    async with (
        # Whoever changes an agent sees it in the very next turn: the turn's context is asked for.
        AsyncContextClient(store, cache=None) as contexts,
        aio.insecure_channel(execution, interceptors=aio_client_interceptors()) as channel,
    ):
        # Without the server interceptor: nobody outside may say which context it is.
        server = aio.server()
        grpc_api.add_OrchestratorServiceServicer_to_server(
            Orchestrator(contexts, grpc_api.ExecutionServiceStub(channel)), server
        )
        await serve(server)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
