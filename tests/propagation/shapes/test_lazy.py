"""The lazy policy: a context is resolved at the handler's first use of it, and not before."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from grpc import StatusCode
from relevo_client import (
    AsyncContextClient,
    ContextClient,
    ContextEntry,
    ContextRef,
    ExecutionContext,
    Fallback,
    NoContextError,
    Policy,
    await_context,
    current_context,
    current_ref,
    require_context,
    wrap,
)
from relevo_client.testing import LocalStore
from support.clients.callers import Outcome, calling
from support.clients.lost_contexts import CAUSES, DOWN, NO_REFERENCE, NOT_FOUND, Cause
from support.clients.plays import naming
from support.servers.hosting import Methods, StoreClients, hosted
from support.servers.relay import Relay
from support.servers.shapes import Kind

LAZY = Policy(lazy=True)

# Handlers that can use `current_context`: those in threads, of either server.
each_server = pytest.mark.parametrize("server", ["blocking", "asyncio"])


async def answer_of(
    server: Kind,
    clients: StoreClients,
    methods: Methods,
    ref: ContextRef | None,
    *,
    policy: Policy = LAZY,
) -> Outcome:
    """The result of a call of the one method."""
    ((method, (arity, _)),) = methods.items()
    interceptor = clients.interceptor(server, trust_callers=True, policy=policy)
    async with (
        hosted(server, methods, interceptors=[interceptor]) as host,
        calling("asyncio", host.address, interceptors=()) as caller,
    ):
        metadata = naming(ref) if ref else ()
        call = caller.begin(arity, method, metadata=metadata)
        return await caller.outcome(arity, call)


def once(work: Callable[[], str]) -> Methods:
    """A plain function with this work's result."""
    return {"Do": ("unary_unary", lambda _, __: work().encode())}


def in_a_task(work: Callable[[], Awaitable[str]]) -> Methods:
    """A coroutine function with this work's result."""

    async def handler(_: Any, __: Any) -> bytes:
        return (await work()).encode()

    return {"Do": ("unary_unary", handler)}


@each_server
async def test_nothing_is_resolved_without_need(store: LocalStore, server: Kind) -> None:
    """A handler that uses no context works without a store, and passes on its reference."""

    def handler(_: Any, __: Any) -> Iterator[bytes]:
        for _ in range(3):
            yield str(current_ref()).encode()

    async def async_handler(_: Any, __: Any) -> AsyncIterator[bytes]:
        for _ in range(3):
            yield str(current_ref()).encode()

    async with DOWN.lose(store) as loss:
        behaviours = [handler, async_handler] if server == "asyncio" else [handler]
        for behaviour in behaviours:
            methods = {"Do": ("unary_stream", behaviour)}
            over = await answer_of(server, loss.clients, methods, loss.ref)
            assert over.code is StatusCode.OK, over
            assert over.items == [str(loss.ref)] * 3


@each_server
async def test_threads_simply_ask(clients: StoreClients, entry: ContextEntry, server: Kind) -> None:
    """In a thread, `current_context` and `require_context` resolve the context."""
    for ask in (current_context, require_context):

        def work(ask: Callable[[], ExecutionContext | None] = ask) -> str:
            found = ask()
            return found.user_id if found else "nobody"

        over = await answer_of(server, clients, once(work), entry.ref)
        assert (over.code, over.items) == (StatusCode.OK, ["u-1"])


async def test_tasks_await_it(clients: StoreClients, entry: ContextEntry) -> None:
    """In a task, `await_context` resolves the context, which is then current without waiting."""

    async def work() -> str:
        context = await await_context()
        assert context
        assert context is current_context() is require_context() is await await_context()
        return context.user_id

    over = await answer_of("asyncio", clients, in_a_task(work), entry.ref)
    assert (over.code, over.items) == (StatusCode.OK, ["u-1"])


async def test_tasks_cannot_have_it_before(clients: StoreClients, entry: ContextEntry) -> None:
    """In a task, earlier access is an error that names `await_context`."""

    async def work() -> str:
        for ask in (current_context, require_context):
            with pytest.raises(NoContextError, match="await_context"):
                ask()
        return str(current_ref())

    over = await answer_of("asyncio", clients, in_a_task(work), entry.ref)
    assert over.items == [str(entry.ref)]


async def test_awaiting_elsewhere(clients: StoreClients, entry: ContextEntry) -> None:
    """`await_context` returns the current context if it is not lazy, and None without a call."""

    async def work() -> str:
        context = await await_context()
        return context.user_id if context else "nobody"

    over = await answer_of("asyncio", clients, in_a_task(work), entry.ref, policy=Policy())
    assert over.items == ["u-1"]
    over = await answer_of("asyncio", clients, in_a_task(work), None, policy=Policy())
    assert over.items == ["nobody"]
    assert await await_context() is None


@each_server
async def test_it_is_resolved_once(store: LocalStore, entry: ContextEntry, server: Kind) -> None:
    """However often and wherever a handler uses its context, the store is asked once."""

    def from_threads() -> str:
        found: list[str] = []

        def ask() -> None:
            found.append(require_context().user_id)

        threads = [threading.Thread(target=wrap(ask)) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return ",".join(found)

    async def from_tasks() -> str:
        contexts = await asyncio.gather(*(await_context() for _ in range(5)))
        return ",".join(each.user_id for each in contexts if each)

    async with (
        Relay(store.address) as relay,
        AsyncContextClient(relay.address, timeout=10) as client,
    ):
        with ContextClient(relay.address, timeout=10) as blocking:
            clients = StoreClients(blocking, client)
            works = [once(from_threads)]
            if server == "asyncio":
                works.append(in_a_task(from_tasks))
            for number, methods in enumerate(works, 1):
                over = await answer_of(server, clients, methods, entry.ref)
                assert over.items == ["u-1,u-1,u-1,u-1,u-1"]
                assert len(relay.of("Get")) == number


@pytest.mark.parametrize("cause", CAUSES, ids=str)
@each_server
async def test_refusal_at_use(store: LocalStore, server: Kind, cause: Cause) -> None:
    """If the context is unavailable, the call ends by the policy, at the handler's first use."""
    reached: list[str] = []
    taken = threading.Event()  # by the caller: gRPC sends a thread's abort before unsent items

    def handler(_: Any, __: Any) -> Iterator[bytes]:
        yield b"before"
        taken.wait()
        current_context()
        reached.append("after")
        yield b"after"

    async def async_handler(_: Any, __: Any) -> AsyncIterator[bytes]:
        yield b"before"
        await await_context()
        reached.append("after")
        yield b"after"

    policy = Policy(no_reference=Fallback.REJECT, lazy=True)
    behaviours = [handler, async_handler] if server == "asyncio" else [handler]
    for behaviour in behaviours:
        async with cause.lose(store) as loss:
            methods = {"Do": ("unary_stream", behaviour)}
            interceptor = loss.clients.interceptor(server, trust_callers=True, policy=policy)
            async with (
                hosted(server, methods, interceptors=[interceptor]) as host,
                calling("asyncio", host.address, interceptors=()) as caller,
            ):
                metadata = naming(loss.ref) if loss.ref else ()
                call = caller.begin("unary_stream", metadata=metadata, timeout=cause.budget)
                assert await caller.take(call, 1) == ["before"]
                taken.set()
                over = await caller.outcome("unary_stream", call)
            assert over.items == []
            assert (over.code, over.details) == cause.refusal
            assert reached == []
            taken.clear()


@each_server
async def test_other_policies_at_use(store: LocalStore, server: Kind) -> None:
    """Proceeding and rebuilding also happen at the handler's first use."""
    for cause in (NO_REFERENCE, NOT_FOUND):
        made: list[object] = []

        def make(lost: object, made: list[object] = made) -> ExecutionContext:
            made.append(lost)
            return ExecutionContext(user_id="rebuilt")

        def work(made: list[object] = made) -> str:
            before = len(made)
            context = current_context()
            return f"{before} {context.user_id if context else 'nobody'}"

        async with cause.lose(store) as loss:
            for action, answer in ((make, "0 rebuilt"), (Fallback.PROCEED, "1 nobody")):
                policy = cause.handled(action, lazy=True)
                over = await answer_of(server, loss.clients, once(work), loss.ref, policy=policy)
                assert over.items == [answer]


@each_server
async def test_malformed_references_are_refused_at_once(
    clients: StoreClients, server: Kind
) -> None:
    """A malformed reference is refused before the handler, as that needs no store."""
    reached: list[str] = []

    def work() -> str:
        reached.append("the handler")
        return ""

    interceptor = clients.interceptor(server, trust_callers=True, policy=LAZY)
    async with (
        hosted(server, once(work), interceptors=[interceptor]) as host,
        calling("asyncio", host.address, interceptors=()) as caller,
    ):
        call = caller.begin("unary_unary", metadata=(("context-key", "malformed"),))
        over = await caller.outcome("unary_unary", call)
    assert over.code is StatusCode.INVALID_ARGUMENT
    assert reached == []
