"""The parts of a platform without Relevo besides its Redis: agent management, and its work."""

from collections.abc import Sequence
from typing import Any

from relevo.demo.v1 import rag_platform_pb2_grpc as grpc_api
from relevo.demo.v1.rag_platform_pb2 import EmbedRequest, EmbedResponse, Observation


class AgentsError(Exception):
    """Raised if agent management cannot be reached."""


class Agents:
    """Agent management: its database, and its interface to services."""

    def __init__(self) -> None:
        self.asked = 0
        """The number of requests for a configuration."""
        self.is_away = False
        """Whether it cannot be reached."""
        self._configs: dict[tuple[str, str], dict[str, Any]] = {}

    async def save(self, tenant_id: str, agent_id: str, config: dict[str, Any]) -> None:
        """Write a configuration to the database."""
        self._configs[tenant_id, agent_id] = config

    async def config(self, tenant_id: str, agent_id: str) -> dict[str, Any]:
        """Read a configuration for a service. Raises AgentsError."""
        self.asked += 1
        if self.is_away or (tenant_id, agent_id) not in self._configs:
            raise AgentsError
        return self._configs[tenant_id, agent_id]


class Counter:
    """A metric."""

    def __init__(self) -> None:
        self.value = 0

    def inc(self) -> None:
        """Count."""
        self.value += 1


async def ask(model: str, text: str) -> str:
    """A language model that answers with its name."""
    del text
    return model


async def find(model: str, text: str) -> dict[str, Any]:
    """Search with a model."""
    del text
    return {"model": model}


def embed(model: str, texts: Sequence[str]) -> EmbedResponse:
    """Embed texts with a model."""
    del texts
    return EmbedResponse(observations=[Observation(service=model)])


def work_of(agents: Agents) -> dict[str, Any]:
    """The functions that the platform's code uses, by name."""
    return {
        "agents": agents,
        "database": agents,
        "AgentsError": AgentsError,
        "ask": ask,
        "find": find,
        "embed": embed,
        "EmbeddingServiceServicer": grpc_api.EmbeddingServiceServicer,
        "EmbedRequest": EmbedRequest,
        "EmbedResponse": EmbedResponse,
    }
