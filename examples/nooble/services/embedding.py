"""Embedding: turns texts into vectors, on request through its queue or gRPC."""

from collections.abc import Iterable, Sequence
from typing import Any

from grpc import StatusCode, aio
from relevo.demo.v1 import rag_platform_pb2_grpc as grpc_api
from relevo.demo.v1.rag_platform_pb2 import EmbedRequest, EmbedResponse, Vector
from relevo_client.actions import DomainAction
from relevo_demo.vectors import MODELS, embed

from nooble.services.member import Member, member
from nooble.services.running import announce, run, until_stopped
from nooble.settings import Settings
from nooble.who import from_headers
from nooble.wiring import GENERATE_EMBEDDING, Wiring

USED = ("embedding_config",)
"""The settings that a step uses."""


def embedded(settings: Settings, texts: Iterable[str]) -> list[Sequence[float]]:
    """The vectors of texts, with the agent's configuration. Raises ValueError."""
    config = settings.embedding_config
    if config["model"] not in MODELS:
        raise ValueError("there is no such embedding model")
    return [embed(text, config) for text in texts]


class Embedding(grpc_api.EmbeddingServiceServicer):
    """The gRPC interface."""

    def __init__(self, service: Member) -> None:
        self._service = service

    async def Embed(
        self, request: EmbedRequest, context: aio.ServicerContext[Any, Any]
    ) -> EmbedResponse:
        """Embed each text."""
        who = from_headers(context.invocation_metadata() or ())
        settings = await self._service.source.settings(who)
        try:
            vectors = embedded(settings, request.texts)
        except ValueError as error:
            await context.abort(StatusCode.FAILED_PRECONDITION, str(error))
        return EmbedResponse(
            vectors=[Vector(values=vector) for vector in vectors],
            observations=[self._service.seen(settings, *USED).to_message()],
        )


def subscribe(service: Member) -> None:
    """Handle the actions of the queue."""

    @service.queues.handle(GENERATE_EMBEDDING)
    async def generate(action: DomainAction) -> DomainAction:
        settings = await service.source.settings(action)
        vectors = embedded(settings, action.payload["texts"])
        return service.reply(
            action, settings, {"vectors": [list(each) for each in vectors]}, used=USED
        )


async def main(wiring: Wiring) -> None:
    """Serve until SIGTERM."""
    async with member("embedding", wiring) as service:
        server = aio.server(interceptors=service.servers)
        grpc_api.add_EmbeddingServiceServicer_to_server(Embedding(service), server)
        port = server.add_insecure_port(wiring.listen)
        subscribe(service)
        async with service.queues:
            await server.start()
            announce(f"127.0.0.1:{port}")
            await until_stopped()
            await server.stop(1.0)


if __name__ == "__main__":
    run("embedding", main)
