"""The fallback `LAST_KNOWN`: if the store is unreachable, the last cached context, marked stale."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from grpc import StatusCode
from relevo_client import (
    AccessDeniedError,
    AsyncContextClient,
    CacheOptions,
    ContextClient,
    ContextEntry,
    ContextKey,
    ContextRef,
    ExecutionContext,
    Fallback,
    NotFoundError,
    Policy,
    current_entry,
)
from relevo_client._near_cache import steady
from relevo_client._propagation.fallbacks import choice_of
from relevo_client.testing import LocalStore
from support.clients.caching import caching, until_known
from support.clients.lost_contexts import DOWN, TOO_OLD
from support.clients.plays import UNARY_SHAPES, Play, naming, play
from support.network.proxy import Proxy
from support.servers.hosting import StoreClients
from support.servers.scenes import Scene
from support.servers.shapes import Shape
from support.waiting import until_async

KEY = ContextKey("conversation", "acme", "last-known")
AGENT = ContextKey("agent_config", "acme", "last-known")
TTL = 600  # seconds
HOUR = 3_600_000 << 20  # of a revision, which begins with milliseconds
POLICY = Policy(unavailable=Fallback.LAST_KNOWN, too_old=Fallback.LAST_KNOWN)

each_shape = pytest.mark.parametrize("shape", UNARY_SHAPES, ids=str)


class Marked(Scene):
    """A handler that also looks at the mark."""

    def see(self) -> bytes:
        """Look, and add the mark."""
        entry = current_entry()
        mark = b", stale" if entry and entry.is_stale else b""
        item = super().see() + mark
        self.seen[-1] = item.decode()
        return item


@pytest.fixture
def path(store: LocalStore) -> Iterator[Proxy]:
    """A proxy in front of the store, which can be closed."""
    with Proxy(int(store.address.rpartition(":")[2])) as path:
        yield path


@pytest.fixture
async def clients(path: Proxy) -> AsyncIterator[StoreClients]:
    """Clients whose cached entries soon expire."""
    options = CacheOptions(max_staleness=0.3)
    async with caching(f"127.0.0.1:{path.port}", options) as clients:
        yield clients


async def call(shape: Shape, clients: StoreClients, ref: ContextRef) -> Play:
    """Make a call that names the context."""
    interceptor = clients.interceptor(shape.server, trust_callers=True, policy=POLICY)
    return await play(shape, interceptor, naming(ref), scene=Marked())


async def down(path: Proxy, clients: StoreClients) -> None:
    """Make the store unreachable, and let all cached entries expire."""
    path.refuse()
    for client in (clients.blocking, clients.asyncio):

        async def is_distrusted(client: ContextClient | AsyncContextClient = client) -> bool:
            try:
                return client.peek(KEY) is None
            except NotFoundError:
                return False

        await until_async(is_distrusted)


@each_shape
async def test_a_store_that_is_gone(
    store: LocalStore, path: Proxy, clients: StoreClients, shape: Shape
) -> None:
    """The handler gets the cached context, marked; its own calls carry the caller's fence.

    While the store is reachable, no context is marked.
    """
    ref = store.client.put(KEY, ExecutionContext(user_id="u"))
    await until_known(clients, ref)
    assert set((await call(shape, clients, ref)).seen) == {f"u {ref}"}
    await down(path, clients)
    for named in (ref, ContextRef(KEY, ref.revision + HOUR)):
        assert set((await call(shape, clients, named)).seen) == {f"u {named}, stale"}


@each_shape
async def test_a_store_that_is_behind(
    store: LocalStore, clients: StoreClients, shape: Shape
) -> None:
    """If the store is behind the fence (`too_old`), the policy may use the cached context, too."""
    ref = store.client.put(KEY, ExecutionContext(user_id="u"))
    await until_known(clients, ref)
    ahead = ContextRef(KEY, ref.revision + HOUR)
    assert set((await call(shape, clients, ahead)).seen) == {f"u {ahead}, stale"}


@each_shape
async def test_without_a_copy(
    store: LocalStore, path: Proxy, clients: StoreClients, shape: Shape
) -> None:
    """A context that was never cached is rejected, as without the policy."""
    ref = store.client.put(KEY, ExecutionContext(user_id="u"))
    path.refuse()
    assert (await call(shape, clients, ref)).refusal == DOWN.refusal


@each_shape
async def test_without_a_cache(store: LocalStore, shape: Shape) -> None:
    """A client without a cache has no last known context, even after earlier calls."""
    ref = store.client.put(KEY, ExecutionContext(user_id="u"))
    ahead = ContextRef(KEY, ref.revision + HOUR)
    async with AsyncContextClient(store.address, timeout=10, cache=None) as client:
        with ContextClient(store.address, timeout=10, cache=None) as blocking:
            clients = StoreClients(blocking, client)
            assert set((await call(shape, clients, ref)).seen) == {f"u {ref}"}
            assert (await call(shape, clients, ahead)).refusal == TOO_OLD.refusal


@each_shape
async def test_what_has_ended(
    store: LocalStore, path: Proxy, clients: StoreClients, shape: Shape
) -> None:
    """An entry that is known to be absent is not revived."""
    ref = store.client.put(KEY, ExecutionContext(user_id="u"))
    await until_known(clients, ref)
    store.client.invalidate(KEY)
    await until_known(clients, KEY, NotFoundError)
    await down(path, clients)
    assert (await call(shape, clients, ref)).refusal == DOWN.refusal


@each_shape
async def test_what_has_run_out(
    store: LocalStore,
    path: Proxy,
    clients: StoreClients,
    shape: Shape,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An entry whose time is over is not revived, even without an event."""
    ref = store.client.put(KEY, ExecutionContext(user_id="u"), ttl=TTL)
    await until_known(clients, ref)
    await down(path, clients)
    both = (clients.blocking, clients.asyncio)
    assert all(client.last_known(ref) for client in both)
    now = steady.now
    monkeypatch.setattr(steady, "now", lambda: now() + TTL)
    assert not any(client.last_known(ref) for client in both)
    assert (await call(shape, clients, ref)).refusal == DOWN.refusal


async def test_layers(store: LocalStore, path: Proxy, clients: StoreClients) -> None:
    """The last known context is composed and marked; if a layer has ended, there is none."""
    store.client.put(AGENT, ExecutionContext(llm_config={"model": "m1"}))
    ref = store.client.put(KEY, ExecutionContext(user_id="u", includes=(AGENT,)))
    await until_known(clients, ref)
    for client in (clients.blocking, clients.asyncio):
        found = client.last_known(ref)
        assert isinstance(found, ContextEntry)
        assert found.is_stale
        assert found.context.llm_config == {"model": "m1"}
        assert found.revision == ref.revision
    store.client.invalidate(AGENT)
    for client in (clients.blocking, clients.asyncio):

        async def has_ended(client: ContextClient | AsyncContextClient = client) -> bool:
            return client.last_known(ref) is None

        await until_async(has_ended)
    await down(path, clients)
    for client in (clients.blocking, clients.asyncio):
        assert client.last_known(ref) is None


def test_where_it_makes_no_sense() -> None:
    """LAST_KNOWN for a cause other than an unavailable or late store raises ValueError."""
    for case in ("no_reference", "not_found", "incomplete"):
        fields: dict[str, Any] = {case: Fallback.LAST_KNOWN}
        with pytest.raises(ValueError, match=case):
            Policy(**fields)


def test_what_the_store_refuses() -> None:
    """If the store refuses a client, its cached context is not used."""
    refused = AccessDeniedError("no", reason="TENANT_DENIED")
    _, action, refusal = choice_of(POLICY, refused)
    assert (action, refusal.code) == (Fallback.REJECT, StatusCode.INTERNAL)
