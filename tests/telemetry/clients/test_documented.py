"""docs/observability.md lists the instruments of clients: these, and no others."""

from typing import Any

import pytest
from relevo.v1.store_pb2 import Reset, ResetReason, WatchResponse
from relevo_client import (
    CacheOptions,
    ContextKey,
    ExecutionContext,
    Fallback,
    NotFoundError,
    Policy,
    context_headers,
    use_context,
)
from relevo_client._near_cache.machine import NearCache
from relevo_client.testing import LocalStore
from support.clients.caching import caching, until_known
from support.clients.either import KINDS
from support.clients.factories import Factory
from support.clients.plays import UNARY_SHAPES, naming, play
from support.servers.shapes import Kind
from support.telemetry.recorded import Meters, Spans, check
from support.telemetry.table import instruments
from support.waiting import until_async

DOCUMENTED = {name: each for name, each in instruments().items() if each.meter == "relevo_client"}
MARK = "a-marked-value"

each_kind = pytest.mark.parametrize("kind", KINDS)


async def run(kind: Kind, store: LocalStore) -> None:
    """Use all that has an instrument, with marked values in each context."""
    marked = ExecutionContext(user_id=MARK, llm_config={MARK: MARK})
    keys = [ContextKey("conversation", "acme", f"{MARK}-{i}") for i in range(4)]
    shape = next(each for each in UNARY_SHAPES if each.server == kind)
    async with caching(store.address, CacheOptions(max_entries=2)) as clients:
        client: Any = clients.blocking if kind == "blocking" else clients.asyncio
        owner = clients.asyncio
        for key in keys:
            ref = await owner.put(key, marked)
            await until_known(clients, ref)
        ref = await owner.put(keys[-1], marked)
        await until_known(clients, ref)
        interceptor = clients.interceptor(
            kind, trust_callers=True, policy=Policy(no_reference=Fallback.REJECT)
        )
        await play(shape, interceptor, naming(ref))
        await play(shape, interceptor, [])
        with use_context(store.client.resolve(ref)):
            context_headers()
        made = client.get_or_create(
            ContextKey("conversation", "acme", "made"), Factory(marked).of(kind)
        )
        if kind == "asyncio":
            await made
        # After an own write, the cache waits for the stream; then the turn puts its snapshot.
        await until_known(clients, ref)
        entry = client.turn_entry(ref)
        if kind == "asyncio":
            await entry
        with pytest.raises(NotFoundError):
            await owner.resolve(ContextKey("conversation", "acme", "none"))
    cache = NearCache(CacheOptions())
    cache.opened(now=0)
    reason = ResetReason.RESET_REASON_LOG_TRIMMED
    cache.received(WatchResponse(reset=Reset(partition=1, reason=reason)))


@each_kind
async def test_the_table(store: LocalStore, meters: Meters, spans: Spans, kind: Kind) -> None:
    """Each documented instrument appears in one run, as documented, and no other does.

    No value of a context is in any exported record, nor is a key.
    """
    async with caching(store.address) as open_clients:
        key = ContextKey("conversation", "acme", "c-1")
        store.client.put(key, ExecutionContext(user_id=MARK))
        await until_known(open_clients, key)
        await run(kind, store)

        async def is_proven() -> bool:
            return "relevo.client.near_cache.staleness" in {m.name for m in meters.metrics()}

        await until_async(is_proven)
        found = {metric.name: metric for metric in meters.metrics()}
    assert found.keys() == DOCUMENTED.keys()
    for name, metric in found.items():
        check(metric, DOCUMENTED[name])
        assert MARK not in metric.to_json()
    assert spans.finished()
    assert MARK not in "".join(each.to_json() for each in spans.finished())
