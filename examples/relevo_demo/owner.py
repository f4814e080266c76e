"""Agent management: the service that owns the configuration of agents and collections."""

from collections.abc import Mapping
from typing import Any

from relevo_client import AsyncContextClient, ContextKey, ContextRef, ExecutionContext


class AgentManagement:
    """Writes configurations into the store. No service ever requests one from it."""

    def __init__(self, contexts: AsyncContextClient) -> None:
        self._contexts = contexts
        self.puts = 0
        """The number of Puts so far."""

    async def publish(self, configurations: Mapping[ContextKey, ExecutionContext]) -> None:
        """Empty the tenants, then put each configuration under its key."""
        for tenant_id in sorted({key.tenant_id for key in configurations}):
            await self._contexts.invalidate_tenant(tenant_id)
        for key, configuration in configurations.items():
            await self._contexts.put(key, configuration)
            self.puts += 1

    async def change(self, key: ContextKey, changes: Mapping[str, Mapping[str, Any]]) -> ContextRef:
        """Change settings of one configuration with one Put; its other settings stay."""
        ref = await self._contexts.update(key, changes)
        self.puts += 1
        return ref
