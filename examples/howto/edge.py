"""An HTTP edge: finds or begins the conversation that a request names, and calls a service."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TypedDict

import uvicorn
from grpc import aio
from relevo.demo.v1 import rag_platform_pb2_grpc as grpc_api
from relevo.demo.v1.rag_platform_pb2 import RunAgentRequest
from relevo_client import (
    AsyncContextClient,
    ContextKey,
    ContextRef,
    ExecutionContext,
    aio_context_channel,
)
from relevo_client.asgi import ContextMiddleware, Scope
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

STORE, EXECUTION = "localhost:7390", "localhost:50051"
TENANTS = {b"Bearer key-of-acme": "acme"}
"""The tenant of each caller. Yours come from your gateway or your sessions."""


class State(TypedDict):
    """The shared objects of all requests."""

    execution: "grpc_api.ExecutionServiceAsyncStub"


async def begin(identity: ExecutionContext) -> ExecutionContext:
    """The context of a new conversation, which includes the configuration of its agent."""
    agent = ContextKey("agent_config", identity.tenant_id, identity.agent_id)
    return identity.update(includes=(agent,))


def may(ref: ContextRef, scope: Scope) -> bool:
    """Whether the caller may use a conversation: the headers that name it may say anything."""
    token = dict(scope["headers"]).get(b"authorization", b"")
    return TENANTS.get(token) == ref.key.tenant_id


async def turn(request: Request) -> JSONResponse:
    """Answer one message. The call carries the conversation's context."""
    message = await request.json()
    answer = await request.state.execution.RunAgent(RunAgentRequest(text=message["text"]))
    return JSONResponse({"text": answer.text})


def application() -> Starlette:
    """The edge as an ASGI application."""
    contexts = AsyncContextClient(STORE)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[State]:
        channel = aio_context_channel(aio.insecure_channel(EXECUTION))
        async with contexts, channel:
            yield {"execution": grpc_api.ExecutionServiceStub(channel)}

    return Starlette(
        routes=[Route("/turns", turn, methods=["POST"])],
        middleware=[
            Middleware(ContextMiddleware, contexts=contexts, begin=begin, authorize=may, turns=True)
        ],
        lifespan=lifespan,
    )


if __name__ == "__main__":
    uvicorn.run(application(), port=8080)
