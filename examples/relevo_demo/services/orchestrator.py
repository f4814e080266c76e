"""The orchestrator: the platform's front end, which creates a conversation's context."""

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
from relevo_demo.waiting import note_wait

Call = aio.ServicerContext[Any, Any]
MINUTE = 60.0


class Orchestrator(grpc_api.OrchestratorServiceServicer):
    """Handles the turns. It alone chooses the context of a call; the other services get it.

    It keeps the users' messages in its memory; a real platform has a database for that.
    """

    def __init__(
        self, contexts: AsyncContextClient, execution: "grpc_api.ExecutionServiceAsyncStub"
    ) -> None:
        self._contexts = contexts
        self._execution = execution
        self._messages: defaultdict[ContextKey, list[str]] = defaultdict(list)
        self._recent: defaultdict[ContextKey, deque[float]] = defaultdict(deque)

    async def Converse(self, request: ConverseRequest, context: Call) -> ConverseResponse:
        """Get or create the conversation's context, make it current, and call the next service."""
        key = ContextKey("conversation", request.tenant_id, request.conversation_id)
        arrived = time.perf_counter()
        try:
            entry = await self._contexts.resolve(
                key, begin=lambda _: self._create(request), timeout=context.time_remaining()
            )
        except UnavailableError as error:
            await context.abort(StatusCode.UNAVAILABLE, str(error))
        except RelevoError as error:  # the agent, or a part of its configuration, does not exist
            await context.abort(StatusCode.FAILED_PRECONDITION, str(error))
        note_wait(time.perf_counter() - arrived)
        with use_context(entry):
            return await self._converse(key, request, context)

    async def _create(self, request: ConverseRequest) -> ExecutionContext:
        """The context of a new conversation: its identity and its includes.

        It contains only the keys of the configurations. These are composed whenever the
        context is resolved.
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
        messages = self._messages[key]
        first = max(0, len(messages) - settings.agent_config["history_turns"])
        async with failing_like_callee(context):
            answer = await self._execution.RunAgent(
                RunAgentRequest(text=request.text, history=messages[first:]),
                timeout=context.time_remaining(),
            )
        messages.append(request.text)
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
        # Without a cache: each turn reads its context from the store, so a change of an agent
        # applies from the very next turn.
        AsyncContextClient(store, cache=None) as contexts,
        aio.insecure_channel(execution, interceptors=aio_client_interceptors()) as channel,
    ):
        # Without the server interceptor: callers outside must not choose the context.
        server = aio.server()
        grpc_api.add_OrchestratorServiceServicer_to_server(
            Orchestrator(contexts, grpc_api.ExecutionServiceStub(channel)), server
        )
        await serve(server)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
