"""A timeout is one budget: each stage gets the time that earlier stages have left.

In each test the store's first answer takes three quarters of the timeout, and a second stage never
ends. If that stage had its own timeout, the total would be one and three quarters.
"""

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from grpc import aio
from relevo_client import (
    AsyncContextClient,
    ContextClient,
    ContextKey,
    ContextRef,
    ExecutionContext,
    IncompleteContextError,
    LostContext,
    Policy,
    UnavailableError,
    await_context,
    current_context,
)
from relevo_client.asgi import ContextMiddleware
from relevo_client.testing import LocalStore
from support.clients.actions import action_of, binding, user
from support.clients.either import KINDS, Ask, opened
from support.clients.factories import Factory
from support.clients.plays import naming
from support.pauses import measured
from support.servers.asgi import HEADERS, ask, see
from support.servers.hosting import SERVICE, StoreClients, hosted
from support.servers.relay import Relay
from support.servers.services import method_of
from support.servers.shapes import Kind

each_kind = pytest.mark.parametrize("kind", KINDS)

TIME = 0.6
"""Seconds of the whole timeout."""
FIRST = 0.75 * TIME
"""Seconds of the store's first answer."""
TOO_LATE = TIME + FIRST / 2
"""Seconds. A second stage with the remaining time ends earlier; one with its own `TIME`, later."""
PAUSE = 0.12
"""Seconds of tolerance for a measurement."""

AGENT = ContextKey("agent_config", "acme", "a1")
COLLECTION = ContextKey("collection_config", "acme", "docs")
CONVERSATION = ContextKey("conversation", "acme", "c-1")

METHODS: dict[str, Callable[[Any], Ask]] = {
    "resolve": lambda _: lambda client: client.resolve(AGENT, timeout=TIME),
    "get_or_create": lambda make: (
        lambda client: client.get_or_create(CONVERSATION, make, timeout=TIME)
    ),
    "turn_entry": lambda make: (
        lambda client: client.turn_entry(CONVERSATION, begin=make, timeout=TIME)
    ),
}
"""For each method with a timeout, a call of it with a factory."""


@pytest.fixture
async def relay(store: LocalStore) -> AsyncIterator[Relay]:
    """A store whose first answers are slow."""
    async with Relay(store.address) as relay:
        relay.delays = {"Get": FIRST, "Lease": FIRST, "Snapshot": FIRST}
        yield relay


@pytest.fixture
def endless() -> Iterator[Factory]:
    """A factory that does not return before the test ends."""
    factory = Factory(ExecutionContext(), waits=True)
    yield factory
    factory.let.set()


@pytest.fixture
async def clients(relay: Relay, endless: Factory) -> AsyncIterator[StoreClients]:
    """Clients of both kinds with long timeouts, and with a loader that never returns."""
    options: dict[str, Any] = {"timeout": 60, "cache": None}
    blocking_loaders = {"agent_config": endless.of("blocking")}
    loaders = {"agent_config": endless.of("asyncio")}
    async with AsyncContextClient(relay.address, loaders=loaders, **options) as client:
        with ContextClient(relay.address, loaders=blocking_loaders, **options) as blocking:
            yield StoreClients(blocking, client)
            endless.let.set()


@pytest.mark.parametrize("client", [AsyncContextClient, ContextClient])
def test_every_method_that_takes_a_timeout_is_here(client: type) -> None:
    """Each method with a timeout has a test with two stages."""
    takes_one = {
        name
        for name, method in inspect.getmembers(client, inspect.isfunction)
        if "timeout" in inspect.signature(method).parameters
    }
    # `turn` is `turn_entry` with a block.
    assert takes_one == {*METHODS, "__init__", "turn"}


@pytest.mark.timing
@each_kind
@pytest.mark.parametrize("method", METHODS)
async def test_a_method_takes_its_timeout_in_all(
    relay: Relay, endless: Factory, kind: Kind, method: str
) -> None:
    """The factory has the time that the store's answer has left."""
    make = endless.of(kind)
    async with opened(
        kind, relay.address, timeout=60, cache=None, loaders={"agent_config": make}
    ) as client:
        error, seconds = await measured(lambda: client.raised(METHODS[method](make)), pause=PAUSE)
        assert TIME * 0.9 < seconds < TOO_LATE
        assert (type(error), error.reason) == (UnavailableError, "DEADLINE_EXCEEDED")
        assert error.retry_after
        endless.let.set()


@pytest.mark.timing
@each_kind
@pytest.mark.parametrize("method", METHODS)
async def test_the_first_stage_has_the_timeout_too(relay: Relay, kind: Kind, method: str) -> None:
    """A silent store is abandoned after the call's timeout, even if the client's is longer."""
    relay.delays = {"Get": 60.0, "Lease": 60.0, "Snapshot": 60.0}
    make = Factory(ExecutionContext()).of(kind)
    async with opened(kind, relay.address, timeout=60, cache=None) as client:
        error, seconds = await measured(lambda: client.raised(METHODS[method](make)), pause=PAUSE)
    assert (type(error), error.reason) == (UnavailableError, "DEADLINE_EXCEEDED")
    assert seconds < 2 * TIME


@each_kind
async def test_the_last_stage_has_what_the_loader_left(
    relay: Relay, store: LocalStore, kind: Kind
) -> None:
    """Each call of the store carries the remaining time."""
    del store
    relay.delays = {"Get": 0.5}
    made = Factory(ExecutionContext(user_id="made"))
    async with opened(
        kind, relay.address, timeout=60, cache=None, loaders={"agent_config": made.of(kind)}
    ) as client:
        await client.ask(lambda client: client.resolve(AGENT, timeout=9))
    first, *_, last = [call.remaining for call in relay.of("Get")]
    assert first < 9.2  # gRPC rounds a little, and not downwards
    assert last < first - 0.4


@each_kind
async def test_missing_layers_are_loaded_at_the_same_time(store: LocalStore, kind: Kind) -> None:
    """The loaders of several missing layers run concurrently."""
    both = threading.Barrier(2)
    met: list[bool] = []

    def make() -> ExecutionContext:
        both.wait(10)
        met.append(True)
        return ExecutionContext()

    loader = Factory(make).of(kind)
    store.client.put(CONVERSATION, ExecutionContext(includes=(AGENT, COLLECTION)))
    loaders = {"agent_config": loader, "collection_config": loader}
    async with opened(kind, store.address, timeout=20, cache=None, loaders=loaders) as client:
        await client.ask(lambda client: client.resolve(CONVERSATION))
    assert met == [True, True]


@each_kind
async def test_a_loader_that_fails_is_not_kept_waiting(
    store: LocalStore, endless: Factory, kind: Kind
) -> None:
    """As soon as one loader fails, the resolution fails, without waiting for the others."""
    fails = Factory(RuntimeError("internals")).of(kind)
    store.client.put(CONVERSATION, ExecutionContext(includes=(AGENT, COLLECTION)))
    loaders = {"agent_config": endless.of(kind), "collection_config": fails}
    async with opened(kind, store.address, timeout=20, cache=None, loaders=loaders) as client:
        error = await client.raised(lambda client: client.resolve(CONVERSATION, timeout=15))
        endless.let.set()
    assert isinstance(error, IncompleteContextError)


async def see_user(_: bytes, __: Any) -> bytes:
    """Answer with the current context's user, on an event loop."""
    context = await await_context()
    return context.user_id.encode() if context else b""


def see_user_in_a_thread(_: bytes, __: Any) -> bytes:
    """The same handler in a thread."""
    context = current_context()
    return context.user_id.encode() if context else b""


def rebuilding(kind: Kind) -> Policy:
    """A policy rebuilds contexts if the store does not answer in time."""

    def rebuild(_: LostContext) -> ExecutionContext:
        return ExecutionContext(user_id="rebuilt")

    async def rebuild_async(lost: LostContext) -> ExecutionContext:
        return rebuild(lost)

    return Policy(unavailable=rebuild if kind == "blocking" else rebuild_async)


@pytest.mark.timing
@pytest.mark.parametrize(
    "kind, behaviour",
    [
        ("blocking", see_user_in_a_thread),
        ("asyncio", see_user),
        ("asyncio", see_user_in_a_thread),
    ],
)
@pytest.mark.parametrize("lazy", [False, True], ids=["at once", "lazily"])
async def test_a_call_of_a_service(
    clients: StoreClients, kind: Kind, behaviour: Any, lazy: bool
) -> None:
    """The store gets half of a call's time, for all stages; the policy gets the rest."""
    policy = replace(rebuilding(kind), lazy=lazy)
    interceptor = clients.interceptor(kind, trust_callers=True, policy=policy)
    methods = {"Do": ("unary_unary", behaviour)}
    async with (
        hosted(kind, methods, interceptors=[interceptor]) as host,
        aio.insecure_channel(host.address) as channel,
    ):
        metadata = naming(ContextRef(AGENT))
        do = method_of(channel, name=SERVICE)

        async def call() -> bytes:
            return await do(b"", metadata=metadata, timeout=2 * TIME)

        answer, seconds = await measured(call, pause=PAUSE)
    assert answer == b"rebuilt"
    assert TIME * 0.9 < seconds < TOO_LATE


@pytest.mark.timing
@each_kind
async def test_an_action(clients: StoreClients, kind: Kind) -> None:
    """The same for an action from a queue, within the timeout of `bound`."""
    action = action_of(ContextRef(AGENT))

    async def bind() -> str | None:
        if kind == "blocking":
            return await asyncio.to_thread(asyncio.run, bound_user())
        return await bound_user()

    async def bound_user() -> str | None:
        async with binding(kind, clients, action, policy=rebuilding(kind), timeout=2 * TIME):
            return user()

    found, seconds = await measured(bind, pause=PAUSE)
    assert found == "rebuilt"
    assert TIME * 0.9 < seconds < TOO_LATE


@pytest.mark.timing
async def test_a_request(clients: StoreClients, relay: Relay) -> None:
    """The same for an HTTP request; and the store receives the remaining time."""

    async def begin(_: ExecutionContext) -> ExecutionContext:
        await asyncio.Event().wait()
        raise AssertionError

    rules: dict[str, Any] = {"policy": rebuilding("asyncio"), "timeout": 2 * TIME}
    app = ContextMiddleware(see, clients.asyncio, begin=begin, **rules)
    answer, seconds = await measured(lambda: ask(app, HEADERS.items()), pause=PAUSE)
    assert answer.body["context"]["user_id"] == "rebuilt"
    assert TIME * 0.9 < seconds < TOO_LATE
    # A creation is for all who wait for it, and has a time of its own; a read is not.
    await ask(ContextMiddleware(see, clients.asyncio, **rules), HEADERS.items())
    assert relay.of("Get")[0].remaining < TIME * 1.1
