"""A client of agent management, which services without Relevo use."""

from typing import Any, Self

import httpx
from relevo_client import ContextKey, ExecutionContext, UnavailableError

from nooble.configuration import AGENT
from nooble.settings import PlainSettings
from nooble.who import Who

TIMEOUT = 2.0


class ManagementError(Exception):
    """Raised if agent management cannot be reached, or does not know the agent."""


class UnreachableError(ManagementError):
    """Raised if agent management cannot be reached."""


class Management:
    """A client of agent management. Use with `async with`."""

    def __init__(self, base_url: str) -> None:
        self._http = httpx.AsyncClient(base_url=base_url, timeout=TIMEOUT)

    async def __aenter__(self) -> Self:
        """Do nothing: connections are opened on demand."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def configuration(self, key: ContextKey) -> ExecutionContext:
        """The configuration of an agent or a collection, for a loader.

        Raises ManagementError if there is none, and UnavailableError if agent management
        cannot be reached: that does not mean that the context does not exist.
        """
        try:
            data = await self._get(f"/configurations/{key.text}")
        except UnreachableError as error:
            raise UnavailableError(str(error), reason="NO_AGENT_MANAGEMENT") from error
        return ExecutionContext.from_cache_dict(data)

    async def settings(self, who: Who) -> PlainSettings:
        """An agent's configuration, composed with its collections'. Raises ManagementError."""
        key = ContextKey(AGENT, who.tenant_id, who.agent_id)
        return PlainSettings.model_validate(await self._get(f"/composed/{key.text}"))

    async def _get(self, path: str) -> Any:
        try:
            response = await self._http.get(path)
        except httpx.TransportError as error:
            raise UnreachableError("agent management cannot be reached") from error
        if response.is_error:
            raise ManagementError(f"agent management answered {response.status_code}")
        return response.json()
