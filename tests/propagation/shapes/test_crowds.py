"""Many concurrent calls, and long chains: each handler has its own caller's context."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from relevo_client import (
    ContextEntry,
    ContextKey,
    ExecutionContext,
    current_ref,
    use_context,
)
from relevo_client.testing import CarriedCall, LocalStore, RecordedCalls
from support.servers.hosting import StoreClients, recording
from support.servers.relaying import Observer, chained
from support.servers.shapes import Kind

TENANTS = [f"tenant-{number}" for number in range(10)]
CALLS = 1000
SERVICES = 3

LIMIT = 512  # bytes of a reference in metadata
ROUNDS = 10  # each call has a random shape


@pytest.fixture(scope="module")
def entries(store: LocalStore) -> list[ContextEntry]:
    """An entry for each of ten tenants."""
    keys = [ContextKey("conversation", tenant, "c") for tenant in TENANTS]
    for key in keys:
        store.client.put(key, ExecutionContext(tenant_id=key.tenant_id))
    return [store.client.resolve(key) for key in keys]


@pytest.mark.parametrize(
    "kinds",
    [("blocking", "asyncio", "blocking"), ("asyncio", "blocking", "asyncio")],
    ids="-".join,
)
async def test_a_thousand_calls_of_ten_tenants(
    clients: StoreClients, entries: list[ContextEntry], kinds: Sequence[Kind]
) -> None:
    """A thousand concurrent calls through three services each see only their own tenant.

    In mixed shapes, half of them from threads.
    """
    observer = Observer()

    def interceptors(kind: Kind) -> list[Any]:
        return [clients.interceptor(kind, trust_callers=True)]

    async with chained(kinds, interceptors, observer) as first:

        async def one(number: int) -> None:
            entry = entries[number % len(entries)]
            tenant = entry.key.tenant_id.encode()
            with use_context(entry):
                if number % 2:
                    await first.call_async(tenant)
                else:
                    await asyncio.to_thread(first.call, tenant)
                assert current_ref() == entry.ref

        await asyncio.gather(*(one(number) for number in range(CALLS)))
    assert observer.strangers == []
    # Two looks at each of two or more messages, and one more if the handler calls onward.
    assert observer.comparisons >= CALLS * (2 * SERVICES + SERVICES - 1)
    assert current_ref() is None


async def test_eight_services_in_a_row(clients: StoreClients, store: LocalStore) -> None:
    """The eighth service sees the first one's context, with a reference of the maximum size.

    The key is the longest that a reference can hold.
    """
    room = LIMIT - len("context-key") - len("context-revision") - len(str((1 << 63) - 1))
    start = ContextKey("conversation", "ä" * 40, "c")
    key = ContextKey("conversation", "ä" * 40, "c" * (room - len(start.text) + 1))
    ref = store.client.put(key, ExecutionContext(tenant_id=key.tenant_id))
    entry = store.client.resolve(key)

    calls, observer = RecordedCalls(), Observer()
    kinds: list[Kind] = ["blocking", "asyncio"] * 4

    def interceptors(kind: Kind) -> list[Any]:
        return [recording(kind, calls), clients.interceptor(kind, trust_callers=True)]

    async with chained(kinds, interceptors, observer) as first:
        for _ in range(ROUNDS):
            with use_context(entry):
                await first.call_async(key.tenant_id.encode())
    assert observer.strangers == []
    assert observer.comparisons >= ROUNDS * (2 * len(kinds) + len(kinds) - 1)

    carried = [_entries(call) for call in calls.all()]
    assert len(carried) == ROUNDS * len(kinds)
    sizes = {sum(len(name) + len(value) for name, value in pairs) for pairs in carried}
    assert sizes == {LIMIT}
    assert {tuple(name for name, _ in pairs) for pairs in carried} == {
        ("context-key", "context-revision")
    }
    assert {call.ref for call in calls.all()} == {ref}


def _entries(call: CarriedCall) -> list[tuple[str, str | bytes]]:
    return [(name, value) for name, value in call.metadata if name.startswith("context-")]
