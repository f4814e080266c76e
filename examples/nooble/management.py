"""Asking agent management, as each service does that has no Relevo."""

from typing import Any, Self

import httpx
from relevo_client import ContextKey, ExecutionContext, UnavailableError

from nooble.configuration import AGENT
from nooble.settings import PlainSettings
from nooble.who import Who

TIMEOUT = 2.0


class ManagementError(Exception):
    """Agent management cannot be asked, or does not know the agent."""


class UnreachableError(ManagementError):
    """It cannot be asked now."""


class Management:
    """A client of agent management. Use with `async with`."""

    def __init__(self, base_url: str) -> None:
        self._http = httpx.AsyncClient(base_url=base_url, timeout=TIMEOUT)

    async def __aenter__(self) -> Self:
        """Connections are made when they are needed."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def configuration(self, key: ContextKey) -> ExecutionContext:
        """The configuration of an agent, or of a collection, for who makes it a context.

        Raises ManagementError where there is none, and UnavailableError where that cannot be
        known now: it is not the same as that the context does not exist.
        """
        try:
            got = await self._get(f"/configurations/{key.text}")
        except UnreachableError as error:
            raise UnavailableError(str(error), reason="NO_AGENT_MANAGEMENT") from error
        return ExecutionContext.from_cache_dict(got)

    async def settings(self, who: Who) -> PlainSettings:
        """An agent's configuration, composed with that of its collections."""
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
