"""A store in memory, and an application behind the middleware."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from relevo_client import AsyncContextClient, ContextKey, ExecutionContext
from relevo_client.asgi import ContextMiddleware
from relevo_client.testing import LocalStore
from support.servers.asgi import Edge, see


@pytest.fixture(scope="module")
def module_store() -> Iterator[LocalStore]:
    """A store for all tests of a module, which saves its start."""
    with LocalStore() as store:
        yield store


@pytest.fixture
def store(module_store: LocalStore) -> LocalStore:
    """The store, with only the agent's configuration in it."""
    for tenant in ("acme", "globex"):
        module_store.client.invalidate_tenant(tenant)
    module_store.client.put(
        ContextKey("agent_config", "acme", "support"),
        ExecutionContext(llm_config={"model": "m-1", "temperature": 0.5}),
    )
    return module_store


@pytest.fixture
async def contexts(store: LocalStore) -> AsyncIterator[AsyncContextClient]:
    """A client of the store, like that of the service at the edge."""
    async with AsyncContextClient(store.address, timeout=10) as client:
        yield client


class Beginnings:
    """A `begin` that records its arguments."""

    def __init__(self) -> None:
        self.identities: list[ExecutionContext] = []

    async def __call__(self, identity: ExecutionContext) -> ExecutionContext:
        """Begin a conversation."""
        self.identities.append(identity)
        agent = ContextKey("agent_config", identity.tenant_id, "support")
        includes = (agent,) if identity.tenant_id == "acme" else ()
        return identity.update(includes=includes, metadata={"begun": True})


@pytest.fixture
def begin() -> Beginnings:
    """A `begin` that records its arguments."""
    return Beginnings()


@pytest.fixture
def edge(contexts: AsyncContextClient, begin: Beginnings) -> Edge:
    """The middleware around `see`, or another application."""

    def edge(app: Any = see, **rules: Any) -> ContextMiddleware:
        return ContextMiddleware(app, contexts, begin=begin, **rules)

    return edge
