"""Handlers whose context is in the near cache: the store is not asked."""

import pytest
from relevo_client import ContextEntry
from relevo_client.testing import LocalStore
from support.clients.caching import caching, counts_of, until_known
from support.clients.plays import UNARY_SHAPES, naming, play
from support.servers.relay import Relay
from support.servers.shapes import SHAPES, Shape

each_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


@each_shape
async def test_a_context_that_is_local(
    store: LocalStore, entry: ContextEntry, shape: Shape
) -> None:
    """Handlers of every shape get the context from the cache: one hit for the call, and no miss."""
    async with caching(store.address) as clients:
        await until_known(clients, entry.ref)
        interceptor = clients.interceptor(shape.server, trust_callers=True)
        before = counts_of(clients, shape.server)
        over = await play(shape, interceptor, naming(entry.ref))
        after = counts_of(clients, shape.server)
    assert set(over.seen) == {f"u-1 {entry.ref}"}
    assert (after.hits - before.hits, after.misses - before.misses) == (1, 0)


@pytest.mark.parametrize("shape", UNARY_SHAPES, ids=str)
async def test_a_context_that_is_not(store: LocalStore, entry: ContextEntry, shape: Shape) -> None:
    """A context that is not cached is one miss, and no hit."""
    # The relay has no streams, so the cache gets no entry between two looks.
    async with Relay(store.address) as relay, caching(relay.address) as clients:
        interceptor = clients.interceptor(shape.server, trust_callers=True)
        over = await play(shape, interceptor, naming(entry.ref))
        counts = counts_of(clients, shape.server)
    assert set(over.seen) == {f"u-1 {entry.ref}"}
    assert (counts.hits, counts.misses) == (0, 1)
