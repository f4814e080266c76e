"""`get_or_create` in several processes: one factory call for all, under a lease.

Here, clients with their own channels stand for processes; `tests/faults` has real ones.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from relevo_client import (
    ContextKey,
    ExecutionContext,
    LeaseLostError,
    UnavailableError,
)
from relevo_server.server import Server
from relevo_server.settings import Settings
from support.clients.either import KEY, KINDS, Either, opened
from support.clients.factories import Factory
from support.servers.relay import Relay
from support.servers.shapes import Kind

each_kind = pytest.mark.parametrize("kind", KINDS)

ONE, TWO = ExecutionContext(user_id="one"), ExecutionContext(user_id="two")


@pytest.fixture
async def one(server: Server, kind: Kind) -> AsyncIterator[Either]:
    """One process."""
    async with opened(kind, server.address, timeout=2) as client:
        yield client


@pytest.fixture
async def two(server: Server, kind: Kind) -> AsyncIterator[Either]:
    """Another process."""
    async with opened(kind, server.address, timeout=2) as client:
        yield client


def creating(client: Either, kind: Kind, factory: Factory, **options: Any) -> asyncio.Task[Any]:
    """A `get_or_create` of the entry with this factory."""
    made = factory.of(kind)
    return asyncio.create_task(
        client.ask(lambda client: client.get_or_create(KEY, made, **options))
    )


@each_kind
async def test_one_factory_call(kind: Kind, one: Either, two: Either) -> None:
    """While one process creates the entry, the others wait, even longer than a call may take."""
    first, second = Factory(ONE, waits=True), Factory(TWO)
    callers = [creating(one, kind, first)]
    await first.called()
    callers += [creating(two, kind, second) for _ in range(20)]
    await asyncio.wait(callers, timeout=3)  # longer than their calls may take
    assert not any(caller.done() for caller in callers)
    first.let.set()
    entries = await asyncio.gather(*callers)
    assert {entry.context.user_id for entry in entries} == {"one"}
    assert len({entry.version for entry in entries}) == 1
    assert (len(first.calls), len(second.calls)) == (1, 0)


@each_kind
async def test_a_factory_that_fails(kind: Kind, one: Either, two: Either) -> None:
    """If the factory fails, its caller gets the exception, and the next process takes over."""
    first, second = Factory(RuntimeError("down"), waits=True), Factory(TWO)
    failing = creating(one, kind, first)
    await first.called()
    waiting = creating(two, kind, second)
    first.let.set()
    with pytest.raises(RuntimeError, match=r"^down$"):
        await failing
    # The lease lasts 10 seconds, for which no process waits.
    entry = await asyncio.wait_for(waiting, 5)
    assert entry.context.user_id == "two"


@each_kind
async def test_a_factory_that_is_too_slow(settings: Settings, kind: Kind) -> None:
    """If a lease expires before its factory returns, its Put is refused: the other's is used."""
    async with (
        Server(settings.model_copy(update={"lease_ttl": 2.0})) as server,
        opened(kind, server.address) as one,
        opened(kind, server.address) as two,
    ):
        first, second = Factory(ONE, waits=True), Factory(TWO)
        slow = creating(one, kind, first)
        await first.called()
        assert (await creating(two, kind, second)).context.user_id == "two"
        first.let.set()
        assert (await slow).context.user_id == "two"
        assert (len(first.calls), len(second.calls)) == (1, 1)


@each_kind
async def test_what_is_invalidated_meanwhile_is_made_anew(
    kind: Kind, one: Either, two: Either
) -> None:
    """A result of a factory that began before an Invalidate is not used after it (S4)."""
    made = iter([ONE, TWO])
    factory = Factory(lambda: next(made), waits=True)
    waiting = creating(one, kind, factory)
    await factory.called()
    await two.ask(lambda client: client.invalidate(KEY))
    factory.let.set()
    assert (await waiting).context.user_id == "two"
    assert len(factory.calls) == 2


@each_kind
async def test_what_is_always_invalidated(kind: Kind, one: Either, two: Either) -> None:
    """If no Put ever succeeds under its lease, the call ends with an error, not an endless loop."""
    ended = asyncio.get_running_loop()

    def make() -> ExecutionContext:
        ending = two.ask(lambda client: client.invalidate(KEY))
        asyncio.run_coroutine_threadsafe(ending, ended).result(10)
        return ONE

    factory = Factory(make)
    with pytest.raises(LeaseLostError) as caught:
        await creating(one, kind, factory)
    assert caught.value.metadata == {"key": KEY.text}
    assert len(factory.calls) == 3


@each_kind
async def test_each_caller_has_its_own_time(kind: Kind, one: Either) -> None:
    """A caller whose timeout is over leaves; the load continues for callers with more time."""
    factory = Factory(ONE, waits=True)
    patient = creating(one, kind, factory, timeout=20)
    await factory.called()
    with pytest.raises(UnavailableError) as caught:
        await creating(one, kind, factory, timeout=0.5)
    # On a busy machine, the time may be over while the store is asked.
    assert caught.value.reason in ("DEADLINE_EXCEEDED", "STORE_UNAVAILABLE")
    factory.let.set()
    assert (await patient).context.user_id == "one"
    assert len(factory.calls) == 1


@each_kind
async def test_a_timeout_of_the_factorys_own(kind: Kind, one: Either) -> None:
    """An exception of the factory's own reaches the caller, even a TimeoutError."""
    factory = Factory(TimeoutError("mine"))
    with pytest.raises(TimeoutError, match=r"^mine$"):
        await creating(one, kind, factory, timeout=20)


@each_kind
async def test_a_thousand_missers_in_four_processes(server: Server, kind: Kind) -> None:
    """Any number of callers and processes share one factory call."""
    factory = Factory(ONE)
    clients = [opened(kind, server.address, timeout=10) for _ in range(4)]
    async with clients[0] as a, clients[1] as b, clients[2] as c, clients[3] as d:
        per_client = 250 if kind == "asyncio" else 25  # each caller takes a thread
        callers = [creating(e, kind, factory) for e in (a, b, c, d) for _ in range(per_client)]
        entries = await asyncio.gather(*callers)
    assert len({entry.version for entry in entries}) == 1
    assert len(factory.calls) == 1


@each_kind
async def test_an_answer_that_is_lost(server: Server, kind: Kind) -> None:
    """A Lease whose answer was lost is repeated and the same, so no caller waits for its end."""
    factory = Factory(ONE)
    async with (
        Relay(server.address) as relay,
        # Without a cache, as the answers of its stream could be lost, too.
        opened(kind, relay.address, timeout=5, cache=None) as client,
    ):
        relay.answers_to_lose = 1
        entry = await asyncio.wait_for(creating(client, kind, factory), 4)
    assert entry.context.user_id == "one"
    assert len(factory.calls) == 1


@each_kind
async def test_other_keys_do_not_wait(kind: Kind, one: Either, two: Either) -> None:
    """A lease is for one key."""
    first = Factory(ONE, waits=True)
    waiting = creating(one, kind, first)
    await first.called()
    other = ContextKey(KEY.scope, KEY.tenant_id, "another")
    made = Factory(TWO).of(kind)
    assert (await two.ask(lambda client: client.get_or_create(other, made))).key == other
    assert not waiting.done()
    first.let.set()
    await waiting
