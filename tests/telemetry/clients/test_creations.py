"""Creations count by outcome, and waits for leases are measured."""

import asyncio

import pytest
from relevo_client import ContextKey, ExecutionContext, InvalidFieldError
from relevo_server.server import Server
from support.clients.either import KEY, KINDS, Ask, Either, opened
from support.clients.factories import Factory
from support.servers.shapes import Kind
from support.telemetry.recorded import Meters, sizes_of

CREATIONS = "relevo.client.creations"
WAITS = "relevo.client.lease.wait.duration"

each_kind = pytest.mark.parametrize("kind", KINDS)


def creating(factory: Factory, kind: Kind, key: ContextKey = KEY) -> Ask:
    """A `get_or_create` with this factory."""
    return lambda client: client.get_or_create(key, factory.of(kind))


@each_kind
async def test_outcomes(server: Server, meters: Meters, kind: Kind) -> None:
    """A factory's call counts once, by what it ended with; an entry that exists calls none."""
    async with opened(kind, server.address, timeout=10) as client:
        before = meters.figures()
        with pytest.raises(LookupError):
            await client.ask(creating(Factory(LookupError()), kind))
        with pytest.raises(InvalidFieldError):
            await client.ask(creating(Factory(InvalidFieldError([("x", "no")])), kind))
        for _ in range(3):
            await client.ask(creating(Factory(ExecutionContext()), kind))
        counted = meters.figures().since(before)
    assert counted.total(CREATIONS) == 3
    for outcome in ("error", "invalid_field", "ok"):
        assert counted.total(CREATIONS, relevo__outcome=outcome) == 1
    assert counted.total(WAITS, relevo__outcome="granted") == 3


@each_kind
async def test_waits(server: Server, meters: Meters, kind: Kind) -> None:
    """Who waits for another process's factory measures that, and creates nothing."""
    factory = Factory(ExecutionContext(user_id="u"), waits=True)
    async with (
        opened(kind, server.address, timeout=10, cache=None) as first,
        opened(kind, server.address, timeout=10, cache=None) as second,
    ):
        before = meters.figures()
        async with asyncio.TaskGroup() as both:
            both.create_task(first.ask(creating(factory, kind)))
            await factory.called()
            both.create_task(second.ask(creating(factory, kind)))
            await asyncio.sleep(0.2)  # whoever comes later waits for less, and counts the same
            factory.let.set()
        counted = meters.figures().since(before)
    assert factory.calls == [KEY]
    assert counted.total(CREATIONS) == counted.total(CREATIONS, relevo__outcome="ok") == 1
    assert counted.total(WAITS, relevo__outcome="granted") == 1
    assert counted.total(WAITS, relevo__outcome="entry") == 1


@each_kind
async def test_sizes(server: Server, meters: Meters, kind: Kind) -> None:
    """The size of each context that is received counts by its scope, with those of its layers."""
    agent = ContextKey("agent_config", "acme", "a1")
    async with opened(kind, server.address, timeout=10, cache=None) as client:
        await _put(client, agent, ExecutionContext(llm_config={"prompt": "x" * 5000}))
        await _put(client, KEY, ExecutionContext(includes=(agent,)))
        before = sizes_of(meters)
        await client.ask(lambda client: client.resolve(KEY))
        await client.ask(lambda client: client.get(KEY))
        after = sizes_of(meters)
    grown = {scope: after[scope] - before.get(scope, 0) for scope in after}
    assert 5000 < grown["agent_config"] < 5100
    assert 0 < grown["conversation"] < 200


async def _put(client: Either, key: ContextKey, context: ExecutionContext) -> None:
    await client.ask(lambda client: client.put(key, context))
