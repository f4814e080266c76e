"""The first turn in a fresh process: its calls carry the snapshot, and no callee asks the store."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from grpc import StatusCode
from relevo_client import (
    AsyncContextClient,
    ContextClient,
    ContextEntry,
    ContextSource,
    UnavailableError,
    require_entry,
    use_context,
)
from relevo_client._propagation import outgoing
from relevo_client._store.aio import AsyncStore
from relevo_client._store.blocking import Store
from relevo_server.server import Server
from relevo_server.settings import Settings
from relevo_server.storage import Storage
from support.clients.callers import Caller, calling
from support.clients.either import KEY, Either, opened
from support.clients.turning import Held, Sent, turn_of, write
from support.servers.hosting import StoreClients, hosted
from support.servers.shapes import Kind


def answer(_: bytes, __: Any) -> bytes:
    """What a callee works with, and where that is from."""
    entry = require_entry()
    return f"{entry.context.user_id} {entry.source}".encode()


def unavailable(*_: Any) -> Any:
    """Fail as a call of a store that is away."""
    raise UnavailableError("away", reason="UNAVAILABLE")


@asynccontextmanager
async def fresh_callee(store: str, kind: Kind) -> AsyncGenerator[Caller, None]:
    """A channel to a service in a process that has just started."""
    async with AsyncContextClient(store, timeout=5) as client:
        with ContextClient(store, timeout=5) as blocking:
            interceptor = StoreClients(blocking, client).interceptor(kind, trust_callers=True)
            methods = {"Do": ("unary_unary", answer)}
            async with (
                hosted(kind, methods, interceptors=[interceptor]) as host,
                calling(kind, host.address, wrapped=True) as caller,
            ):
                yield caller


async def call(caller: Caller, entry: ContextEntry) -> tuple[StatusCode, list[str]]:
    """How a call ends that is made in a turn with this entry."""
    with use_context(entry):
        outcome = await caller.outcome("unary_unary", caller.begin("unary_unary"))
    return outcome.code, outcome.items


async def test_no_call_of_the_store_is_waited_for(
    server: Server, kind: Kind, client: Either, entry: ContextEntry, held: Held, sent: Sent
) -> None:
    """A turn, and the first call to a fresh process, wait for no call of the store."""
    held.may_go_on.clear()
    async with fresh_callee(server.address, kind) as caller:
        sent.clear()
        taken = await turn_of(client)
        assert await call(caller, taken) == (StatusCode.OK, [f"u {ContextSource.RIDER}"])
        assert sent.calls in ([], ["put"])  # which nobody has waited for
        held.may_go_on.set()
        assert (await client.local(entry.snapshot_key)).version > 0


async def test_a_store_that_stops_harms_no_callee(
    settings: Settings,
    storage: Storage,
    held: Held,
    kind: Kind,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """If the store stops right after a turn began, the turn's calls have their context."""
    held.may_go_on.clear()
    for module in ("aio_snapshots", "blocking_snapshots"):
        monkeypatch.setattr(f"relevo_client._client.{module}.CLOSING", 0.01)
    async with (
        Server(settings, storage=storage) as server,
        opened(kind, server.address, timeout=0.5) as client,
    ):
        await write(client)
        await client.ask(lambda c: c.resolve(KEY))
        await client.local(KEY)
        taken = await turn_of(client)
    held.may_go_on.set()
    async with fresh_callee(server.address, kind) as caller:
        assert await call(caller, taken) == (StatusCode.OK, [f"u {ContextSource.RIDER}"])


async def test_a_stale_turn_rides(
    server: Server, kind: Kind, client: Either, entry: ContextEntry, held: Held
) -> None:
    """A turn that begins with the last known copy carries it: its callees need no store either."""
    held.may_go_on.clear()
    with pytest.MonkeyPatch.context() as patch:
        for store in (AsyncStore, Store):
            patch.setattr(store, "snapshot", unavailable)
        taken = await turn_of(client, fresh=True, last_known=True)
    assert (taken.key, taken.is_stale) == (entry.snapshot_key, True)
    async with fresh_callee(server.address, kind) as caller:
        assert await call(caller, taken) == (StatusCode.OK, [f"u {ContextSource.RIDER}"])
    held.may_go_on.set()


async def test_whoever_strips_the_rider_costs_a_call(
    server: Server,
    kind: Kind,
    client: Either,
    entry: ContextEntry,
    sent: Sent,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without the rider, the callee asks the store once, however early it does."""
    monkeypatch.setattr(outgoing, "RIDER", "x-stripped-bin")
    async with fresh_callee(server.address, kind) as caller:
        sent.clear()
        taken = await turn_of(client)
        assert await call(caller, taken) == (StatusCode.OK, [f"u {ContextSource.STORE}"])
        assert sorted(sent.calls) == ["get", "put"]
    assert taken.key == entry.snapshot_key
