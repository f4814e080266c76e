"""Embedding: turns texts into vectors, the last service of the chain."""

import asyncio
import sys
from typing import Any

from grpc import StatusCode, aio
from relevo.demo.v1 import rag_platform_pb2_grpc as grpc_api
from relevo.demo.v1.rag_platform_pb2 import EmbedRequest, EmbedResponse, Vector
from relevo_client import (
    AsyncContextClient,
    aio_server_interceptor,
    require_context,
)

from relevo_demo.observation import observe
from relevo_demo.services.serving import serve
from relevo_demo.vectors import MODELS, embed
from relevo_demo.waiting import measured


class Embedding(grpc_api.EmbeddingServiceServicer):
    """Embeds with the model of the call's context."""

    def __init__(self, contexts: AsyncContextClient) -> None:
        self._contexts = contexts

    async def Embed(
        self, request: EmbedRequest, context: aio.ServicerContext[Any, Any]
    ) -> EmbedResponse:
        """Embed each text."""
        config = require_context().embedding_config
        if config["model"] not in MODELS:
            await context.abort(StatusCode.FAILED_PRECONDITION, "no such embedding model")
        return EmbedResponse(
            vectors=[Vector(values=embed(text, config)) for text in request.texts],
            observations=[
                observe(
                    "embedding",
                    self._contexts,
                    *(f"embedding_config.{name}" for name in sorted(config)),
                )
            ],
        )


async def main(store: str) -> None:
    """Serve until SIGTERM."""
    async with AsyncContextClient(store) as contexts:
        interceptor = aio_server_interceptor(contexts, trust_callers=True)
        server = aio.server(interceptors=measured(interceptor))  # or [interceptor], outside a demo
        grpc_api.add_EmbeddingServiceServicer_to_server(Embedding(contexts), server)
        await serve(server)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
