"""A store with a context in it, its clients, spans, and queues."""

import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Iterator

import pytest
from opentelemetry import context as otel
from opentelemetry import trace
from relevo_client import (
    AsyncContextClient,
    ContextClient,
    ContextKey,
    ContextRef,
    ExecutionContext,
)
from relevo_client.testing import LocalStore
from support.clients.queueing import Queueing
from support.network.ports import NOBODY
from support.redis.client import RedisClient
from support.servers.hosting import StoreClients

KEY = ContextKey("conversation", "acme", "c-1")


@pytest.fixture
def store() -> Iterator[LocalStore]:
    """A store."""
    with LocalStore() as store:
        yield store


@pytest.fixture
def ref(store: LocalStore) -> ContextRef:
    """The reference of a context whose user is u-1."""
    return store.client.put(KEY, ExecutionContext(tenant_id="acme", user_id="u-1"))


@pytest.fixture
async def contexts(store: LocalStore) -> AsyncIterator[AsyncContextClient]:
    """An asyncio client."""
    async with AsyncContextClient(store.address, timeout=10) as client:
        yield client


@pytest.fixture
def blocking(store: LocalStore) -> Iterator[ContextClient]:
    """A blocking client."""
    with ContextClient(store.address, timeout=10) as client:
        yield client


@pytest.fixture
def clients(blocking: ContextClient, contexts: AsyncContextClient) -> StoreClients:
    """Clients of the store, of both kinds."""
    return StoreClients(blocking, contexts)


@pytest.fixture
async def without_store() -> AsyncGenerator[StoreClients, None]:
    """Clients of a store that does not exist."""
    target = f"127.0.0.1:{NOBODY}"
    async with AsyncContextClient(target, timeout=0.2) as client:
        with ContextClient(target, timeout=0.2) as blocking:
            yield StoreClients(blocking, client)


@pytest.fixture
def span() -> Iterator[str]:
    """A current span, and its traceparent."""
    spanning = trace.SpanContext(0xA, 0xB, is_remote=False, trace_flags=trace.TraceFlags(1))
    token = otel.attach(trace.set_span_in_context(trace.NonRecordingSpan(spanning)))
    yield f"00-{0xA:032x}-{0xB:016x}-01"
    otel.detach(token)


@pytest.fixture
def queueing(redis_url: str) -> Iterator[Queueing]:
    """The test's own queues."""
    with RedisClient(redis_url) as client:
        queueing = Queueing(redis_url, f"test-{uuid.uuid4().hex}", client)
        yield queueing
        queueing.forget()
