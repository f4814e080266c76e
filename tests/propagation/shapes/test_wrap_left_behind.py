"""Wrapped functions that outlive their call."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from grpc import StatusCode
from relevo_client import (
    ContextEntry,
    ContextRef,
    ExecutionContext,
    LostContext,
    Policy,
    RelevoError,
    await_context,
    current_context,
    wrap,
)
from relevo_client.testing import LocalStore
from support.clients.callers import calling
from support.clients.lost_contexts import DOWN
from support.clients.plays import naming
from support.servers.hosting import Methods, StoreClients, hosted
from support.servers.shapes import Behaviour, Kind


class LeftBehind:
    """Handlers that leave work behind, which uses the context long after the call."""

    def __init__(self) -> None:
        self.found: list[str] = []
        """The users that the work saw, or the exceptions."""
        self._is_over = threading.Event()
        self._threads: list[threading.Thread] = []
        self._tasks: list[asyncio.Task[None]] = []

    def methods(self, kind: Kind) -> Methods:
        """A method that leaves a thread behind; on an asyncio server, another one leaves a task."""
        methods: dict[str, tuple[str, Behaviour]] = {"Do": ("unary_unary", self._leave_a_thread)}
        if kind == "asyncio":
            methods["Later"] = ("unary_unary", self._leave_a_task)
        return methods

    async def end(self) -> None:
        """Let the work run, and wait for it."""
        self._is_over.set()
        await asyncio.gather(*self._tasks)
        for thread in self._threads:
            await asyncio.to_thread(thread.join)

    def _leave_a_thread(self, request: bytes, _: Any) -> bytes:
        def work() -> None:
            self._is_over.wait()
            self._tell(current_context)

        self._threads.append(threading.Thread(target=wrap(work)))
        self._threads[-1].start()
        return request

    async def _leave_a_task(self, request: bytes, _: Any) -> bytes:
        async def work() -> None:
            await asyncio.to_thread(self._is_over.wait)
            try:
                await await_context()
            except Exception as error:  # noqa: BLE001 - whatever it is, the test tells
                self.found.append(_reason(error))
            else:
                self._tell(current_context)

        self._tasks.append(asyncio.create_task(work()))
        return request

    def _tell(self, ask: Callable[[], ExecutionContext | None]) -> None:
        try:
            context = ask()
        except Exception as error:  # noqa: BLE001 - whatever it is, the test tells
            self.found.append(_reason(error))
        else:
            self.found.append(context.user_id if context else "nobody")


def _reason(error: Exception) -> str:
    return "a RelevoError" if isinstance(error, RelevoError) else repr(error)


async def left_behind(
    kind: Kind, clients: StoreClients, ref: ContextRef, policy: Policy
) -> list[str]:
    """The results of work of a call of each kind, after the call's deadline."""
    handlers = LeftBehind()
    methods = handlers.methods(kind)
    interceptor = clients.interceptor(kind, trust_callers=True, policy=policy)
    async with (
        hosted(kind, methods, interceptors=[interceptor]) as host,
        calling("asyncio", host.address, interceptors=()) as caller,
    ):
        timeout = 2.0
        for method in methods:
            call = caller.begin("unary_unary", method, metadata=naming(ref), timeout=timeout)
            assert (await caller.outcome("unary_unary", call)).code is StatusCode.OK
        await asyncio.sleep(timeout)  # no event marks the deadline
        await handlers.end()
    return handlers.found


@pytest.mark.parametrize("lazy", [False, True], ids=["eager", "lazy"])
@pytest.mark.parametrize("kind", ["blocking", "asyncio"])
async def test_work_that_outlives_its_call(
    clients: StoreClients, entry: ContextEntry, kind: Kind, lazy: bool
) -> None:
    """Work that a handler leaves behind has the call's context after the call and its deadline."""
    found = await left_behind(kind, clients, entry.ref, Policy(lazy=lazy))
    assert set(found) == {"u-1"}


@pytest.mark.parametrize("kind", ["blocking", "asyncio"])
async def test_work_that_outlives_its_call_and_the_store(store: LocalStore, kind: Kind) -> None:
    """If its context is unavailable then, the work gets a RelevoError: no call is left to end."""
    async with DOWN.lose(store) as loss:
        assert loss.ref
        found = await left_behind(kind, loss.clients, loss.ref, Policy(lazy=True))
    assert set(found) == {"a RelevoError"}


@pytest.mark.parametrize("kind", ["blocking", "asyncio"])
async def test_what_a_function_is_told_after_its_call(store: LocalStore, kind: Kind) -> None:
    """A policy's function that work calls so late still gets the call's metadata.

    gRPC itself has freed it by then.
    """
    asked: list[LostContext] = []

    def make(lost: LostContext) -> ExecutionContext:
        asked.append(lost)
        return ExecutionContext(user_id="rebuilt")

    async with DOWN.lose(store) as loss:
        assert loss.ref
        policy = Policy(unavailable=make, lazy=True)
        found = await left_behind(kind, loss.clients, loss.ref, policy)
    assert set(found) == {"rebuilt"}
    assert asked
    for each in asked:
        assert set(naming(loss.ref)) <= set(each.metadata)
