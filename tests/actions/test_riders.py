"""Riders of actions: the small snapshot that an action's reference names, in its message."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from relevo.v1 import action_pb2
from relevo_client import (
    AsyncContextClient,
    ContextEntry,
    ContextRef,
    Policy,
    UnavailableError,
    await_context,
    require_entry,
    use_context,
)
from relevo_client._context import riders
from relevo_client._context.current import current_rider
from relevo_client.actions import DomainAction, aio_bound, stamp
from relevo_client.testing import LocalStore
from support.clients.actions import action_of, binding
from support.clients.either import KEY, KINDS
from support.clients.queueing import Queueing
from support.clients.riding import snapshot_of
from support.entries import entry_of
from support.servers.hosting import StoreClients
from support.servers.shapes import Kind


@pytest.fixture
def snapshot() -> ContextEntry:
    """A snapshot that no store has."""
    return snapshot_of(entry_of("u-1", key=KEY, revision=7))


def stamped(snapshot: ContextEntry, **fields: Any) -> DomainAction:
    """An action that was stamped while the snapshot was current."""
    with use_context(snapshot):
        return stamp(action_of(**fields))


def test_it_goes_along(snapshot: ContextEntry) -> None:
    """A stamped action has the rider, which survives its message and its JSON."""
    action = stamped(snapshot)
    assert action.context_rider == riders.rider_of(snapshot)
    message = action_pb2.DomainAction.FromString(action.to_message().SerializeToString())
    assert DomainAction.from_message(message) == action
    assert DomainAction.model_validate_json(action.model_dump_json()) == action
    assert "context_rider" not in json.loads(action_of(snapshot.ref).model_dump_json())
    assert stamped(entry_of("u-1")).context_rider == b""


def test_it_belongs_to_the_reference(snapshot: ContextEntry) -> None:
    """An action keeps its own rider with its own reference, and has none of another one."""
    other = snapshot_of(entry_of("u-2", key=KEY, revision=8))
    action = stamped(snapshot, callback_action_type="a.b.c")
    with use_context(other):
        assert stamp(action).context_rider == riders.rider_of(snapshot)
        assert stamp(action_of(snapshot.ref)).context_rider == b""
        assert action.reply({}).context_rider == riders.rider_of(snapshot)
    with use_context(entry_of("u-3")):
        assert stamp(action) == action.update(created_at=stamp(action).created_at)
    assert action.failure("NO", "no").context_rider == riders.rider_of(snapshot)


def test_it_can_be_left_out(snapshot: ContextEntry) -> None:
    """A service whose queues must not have a context's values stamps without a rider."""
    with use_context(snapshot):
        bare = stamp(stamped(snapshot), rider=False)
    assert (bare.context_ref, bare.context_rider) == (snapshot.ref, b"")


def test_it_is_not_shown(snapshot: ContextEntry) -> None:
    """What is shown of an action has the size of its rider."""
    action = stamped(snapshot)
    assert f"context_rider=<{len(action.context_rider)} bytes>" in repr(action)


@pytest.mark.parametrize("value", ["no base64!", 7, None, ["a"], "\u00e9"])
def test_what_is_no_rider(snapshot: ContextEntry, value: object) -> None:
    """A malformed rider in JSON is as none: it does not make the action malformed."""
    data = json.loads(stamped(snapshot).model_dump_json())
    action = DomainAction.model_validate_json(json.dumps({**data, "context_rider": value}))
    assert action.context_rider == b""
    assert action.context_ref == snapshot.ref


@pytest.mark.parametrize("policy", [Policy(), Policy(lazy=True)], ids=["at once", "lazy"])
@pytest.mark.parametrize("kind", KINDS)
async def test_no_store_is_needed(
    without_store: StoreClients, snapshot: ContextEntry, kind: Kind, policy: Policy
) -> None:
    """An action with a rider is handled while the store is away, and its own sends carry it on."""
    async with binding(kind, without_store, stamped(snapshot), policy=policy):
        if kind == "asyncio":
            await await_context()
        entry = require_entry()
        assert (entry.context.user_id, entry.source, entry.revision) == ("u-1", "rider", 7)
        assert stamp(action_of()).context_rider == riders.rider_of(snapshot)


async def test_hours_in_a_queue(without_store: StoreClients, snapshot: ContextEntry) -> None:
    """An action that waits for longer than its snapshot lives has no use of the rider."""
    old = replace(snapshot, expire_time=datetime.now(UTC) - timedelta(seconds=1))
    with pytest.raises(UnavailableError):
        async with aio_bound(stamped(old), without_store.asyncio):
            pass


async def test_a_bad_one_costs_a_call_of_the_store(store: LocalStore, ref: ContextRef) -> None:
    """An action whose rider is of no use is handled with the context of the store."""
    stored = store.client.snapshot(store.client.resolve(ref))
    async with AsyncContextClient(store.address, timeout=10, cache=None) as contexts:
        for rider in (b"no rider", bytes(5000), stamped(stored).context_rider[:-1]):
            action = stamped(stored).update(context_rider=rider)
            async with aio_bound(action, contexts):
                entry = require_entry()
                assert (entry.context.user_id, entry.source) == ("u-1", "store")


async def test_it_is_passed_on(snapshot: ContextEntry) -> None:
    """A service without a client passes the rider on, unless it is larger than any rider."""
    action = stamped(snapshot)
    async with aio_bound(action, None):
        assert current_rider() == action.context_rider
        assert stamp(action_of()).context_rider == action.context_rider
    async with aio_bound(action.update(context_rider=bytes(5000)), None):
        assert current_rider() is None


async def test_through_a_queue(
    queueing: Queueing, without_store: StoreClients, snapshot: ContextEntry
) -> None:
    """A consumer without a store handles an action with its rider, and its result carries it."""
    queues = queueing.queues(without_store.asyncio)

    @queues.handle(queueing.work)
    async def work(_: DomainAction) -> dict[str, Any]:
        return {"user": require_entry().context.user_id}

    async with queues:
        with use_context(snapshot):
            await queues.send(queueing.action(), queueing.work)
        await queueing.until(lambda: queueing.sent(queueing.results))
    (result,) = queueing.sent(queueing.results)
    assert result.payload == {"user": "u-1"}
    assert result.context_rider == riders.rider_of(snapshot)


async def test_queues_without_values(queueing: Queueing, snapshot: ContextEntry) -> None:
    """With `riders=False` nothing of a context is in the queues."""
    async with queueing.queues(riders=False) as queues:
        with use_context(snapshot):
            await queues.send(queueing.action(), queueing.work)
    (sent,) = queueing.sent(queueing.work)
    assert (sent.context_ref, sent.context_rider) == (snapshot.ref, b"")
