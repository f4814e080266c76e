"""Query: finds the passages of the agent's collections that are nearest to a text."""

import asyncio
import sys
from typing import Any

from grpc import aio
from relevo.demo.v1 import rag_platform_pb2_grpc as grpc_api
from relevo.demo.v1.rag_platform_pb2 import EmbedRequest, Passage, SearchRequest, SearchResponse
from relevo_client import (
    AsyncContextClient,
    aio_client_interceptors,
    aio_server_interceptor,
    require_context,
)

from relevo_demo.chunks import chunks_of
from relevo_demo.observation import observe
from relevo_demo.services.serving import failing_like_callee, serve
from relevo_demo.vectors import similarity
from relevo_demo.waiting import measured


class Query(grpc_api.QueryServiceServicer):
    """Searches the collections of the call's context."""

    def __init__(
        self, contexts: AsyncContextClient, embedding: "grpc_api.EmbeddingServiceAsyncStub"
    ) -> None:
        self._contexts = contexts
        self._embedding = embedding

    async def Search(
        self, request: SearchRequest, context: aio.ServicerContext[Any, Any]
    ) -> SearchResponse:
        """Compare the text with every chunk of the collections."""
        settings = require_context()
        rag = settings.rag_config
        chunks = list(chunks_of(settings.tenant_id, rag))
        async with failing_like_callee(context):
            embedded = await self._embedding.Embed(
                EmbedRequest(texts=[request.text, *(text for _, text in chunks)]),
                timeout=context.time_remaining(),
            )
        query_vector, *vectors = (vector.values for vector in embedded.vectors)
        passages = [
            Passage(collection_id=collection, text=text, score=similarity(query_vector, vector))
            for (collection, text), vector in zip(chunks, vectors, strict=True)
        ]
        near = [p for p in passages if p.score >= rag[p.collection_id]["min_score"]]
        near.sort(key=lambda passage: -passage.score)
        collections = rag["collections"]
        seen = observe(
            "query",
            self._contexts,
            "rag_config.collections",
            "rag_config.top_k",
            *(f"rag_config.{collection}" for collection in collections),
        )
        return SearchResponse(
            passages=near[: rag["top_k"]], observations=[seen, *embedded.observations]
        )


async def main(store: str, embedding: str) -> None:
    """Serve until SIGTERM."""
    async with (
        AsyncContextClient(store) as contexts,
        aio.insecure_channel(embedding, interceptors=aio_client_interceptors()) as channel,
    ):
        interceptor = aio_server_interceptor(contexts, trust_callers=True)
        server = aio.server(interceptors=measured(interceptor))  # or [interceptor], outside a demo
        grpc_api.add_QueryServiceServicer_to_server(
            Query(contexts, grpc_api.EmbeddingServiceStub(channel)), server
        )
        await serve(server)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
