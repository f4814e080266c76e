"""Query: finds the passages of the agent's collections that are nearest to a vector."""

from typing import Any

from grpc import aio
from relevo.demo.v1 import rag_platform_pb2_grpc as grpc_api
from relevo.demo.v1.rag_platform_pb2 import EmbedRequest
from relevo_client.actions import DomainAction
from relevo_demo.chunks import chunks_of
from relevo_demo.vectors import similarity

from nooble.channels import ROUND_ROBIN
from nooble.counting import CORRELATION
from nooble.observing import Seen
from nooble.services.member import Member, member
from nooble.services.running import announce, run, until_stopped
from nooble.who import to_headers
from nooble.wiring import SEARCH, Wiring

TIMEOUT = 5.0
USED = ("rag_config",)
"""The settings that a step uses."""


def subscribe(service: Member, embedding: "grpc_api.EmbeddingServiceAsyncStub") -> None:
    """Handle the searches of the queue."""

    @service.queues.handle(SEARCH)
    async def search(action: DomainAction) -> DomainAction:
        settings = await service.source.settings(action)
        rag = settings.rag_config
        chunks = list(chunks_of(action.tenant_id, rag))
        embedded = await embedding.Embed(
            EmbedRequest(texts=[text for _, text in chunks]),
            metadata=(*to_headers(action), (CORRELATION, action.correlation_id)),
            timeout=TIMEOUT,
        )
        query_vector = action.payload["vector"]
        passages: list[dict[str, Any]] = [
            {"collection": name, "text": text, "score": similarity(query_vector, vector.values)}
            for (name, text), vector in zip(chunks, embedded.vectors, strict=True)
        ]
        near = [p for p in passages if p["score"] >= rag[p["collection"]]["min_score"]]
        near.sort(key=lambda passage: -passage["score"])
        others = map(Seen.from_message, embedded.observations)
        passages = near[: rag["top_k"]]
        return service.reply(action, settings, {"passages": passages}, *others, used=USED)


async def main(wiring: Wiring) -> None:
    """Work until SIGTERM."""
    async with (
        member("query", wiring) as service,
        aio.insecure_channel(wiring.embedding, options=ROUND_ROBIN) as channel,
    ):
        subscribe(service, grpc_api.EmbeddingServiceStub(service.passing_on(channel)))
        async with service.queues:
            announce("query")
            await until_stopped()


if __name__ == "__main__":
    run("query", main)
