"""A store for all of these tests, and clients of it for servers of both kinds."""

from collections.abc import AsyncIterator, Iterator

import pytest
from relevo_client import (
    AsyncContextClient,
    ContextClient,
    ContextEntry,
    ContextKey,
    ExecutionContext,
)
from relevo_client.testing import LocalStore
from support.servers.hosting import StoreClients


@pytest.fixture(scope="session")
def store() -> Iterator[LocalStore]:
    """The store. Entries remain after a test: each test has its own keys."""
    with LocalStore() as store:
        yield store


@pytest.fixture(scope="session")
def blocking_client(store: LocalStore) -> Iterator[ContextClient]:
    """A blocking client, as a service has it."""
    with ContextClient(store.address, timeout=10) as client:
        yield client


@pytest.fixture
async def clients(store: LocalStore, blocking_client: ContextClient) -> AsyncIterator[StoreClients]:
    """Clients of both kinds."""
    async with AsyncContextClient(store.address, timeout=10) as client:
        yield StoreClients(blocking_client, client)


@pytest.fixture(scope="session")
def key(store: LocalStore) -> ContextKey:
    """The key of an existing entry."""
    key = ContextKey("conversation", "acme", "c-1")
    store.client.put(key, ExecutionContext(user_id="u-1", tenant_id="acme"))
    return key


@pytest.fixture
def entry(store: LocalStore, key: ContextKey) -> ContextEntry:
    """The current entry: its reference has the store's current revision."""
    return store.client.get(key)
