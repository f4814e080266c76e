"""Query: finds the passages of the agent's collections that are nearest to a text."""

import asyncio
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from grpc import aio
from relevo.demo.v1 import rag_platform_pb2_grpc as grpc_api
from relevo.demo.v1.rag_platform_pb2 import EmbedRequest, Passage, SearchRequest, SearchResponse
from relevo_client import (
    AsyncContextClient,
    ExecutionContext,
    aio_client_interceptors,
    aio_server_interceptor,
    require_context,
)

from relevo_demo import files
from relevo_demo.observation import observe
from relevo_demo.services.serving import failing_like_callee, serve
from relevo_demo.vectors import similarity

_SENTENCE = re.compile(r"(?<=[.!?])\s+")


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
        """Compare the text with every piece of the collections."""
        settings = require_context()
        rag = settings.rag_config
        chunks = list(_chunks(settings))
        async with failing_like_callee(context):
            embedded = await self._embedding.Embed(
                EmbedRequest(texts=[request.text, *(text for _, text in chunks)]),
                timeout=context.time_remaining(),
            )
        asked, *vectors = (vector.values for vector in embedded.vectors)
        passages = [
            Passage(collection_id=collection, text=text, score=similarity(asked, vector))
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


def _chunks(settings: ExecutionContext) -> Iterator[tuple[str, str]]:
    """The pieces of the agent's collections, cut as each collection asks for."""
    for collection in settings.rag_config["collections"]:
        for passage in files.passages(settings.tenant_id, collection):
            for chunk in _cut(passage, settings.rag_config[collection]):
                yield collection, chunk


def _cut(passage: str, config: Mapping[str, Any]) -> Iterator[str]:
    """Pieces of whole sentences, of `chunk_size` words where that is possible.

    Each begins with the end of the one before, of up to `overlap` words.
    """
    chunk: list[str] = []
    for sentence in _SENTENCE.split(passage):
        if chunk and _size([*chunk, sentence]) > config["chunk_size"]:
            yield " ".join(chunk)
            while chunk and _size(chunk) > config["overlap"]:
                del chunk[0]
        chunk.append(sentence)
    yield " ".join(chunk)


def _size(sentences: list[str]) -> int:
    return sum(len(sentence.split()) for sentence in sentences)


async def main(store: str, embedding: str) -> None:
    """Serve until SIGTERM."""
    async with (
        AsyncContextClient(store) as contexts,
        aio.insecure_channel(embedding, interceptors=aio_client_interceptors()) as channel,
    ):
        server = aio.server(interceptors=[aio_server_interceptor(contexts, trust_callers=True)])
        grpc_api.add_QueryServiceServicer_to_server(
            Query(contexts, grpc_api.EmbeddingServiceStub(channel)), server
        )
        await serve(server)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
