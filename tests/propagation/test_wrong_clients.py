"""Clients, channels and functions of the wrong kind are refused when passed, before any call."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import grpc
import pytest
from faststream.redis import RedisBroker
from grpc import aio
from relevo_client import (
    AsyncContextClient,
    ContextClient,
    ContextEntry,
    ContextKey,
    ExecutionContext,
    LostContext,
    Policy,
    UnavailableError,
    aio_client_interceptors,
    aio_context_channel,
    aio_server_interceptor,
    client_interceptors,
    context_channel,
    filters,
    server_interceptor,
)
from relevo_client.actions import DomainAction, aio_bound, bound
from relevo_client.actions.faststream import ActionQueues
from relevo_client.asgi import ContextMiddleware
from support.clients.either import KEY
from support.entries import entry_of
from support.servers.asgi import see

NOWHERE = "127.0.0.1:1"
ACTION = DomainAction(action_type="test.work.do")


def _bind(client: Any) -> None:
    with bound(ACTION, client):
        pass


async def _bind_async(client: Any) -> None:
    async with aio_bound(ACTION, client):
        pass


async def _intercept(client: Any) -> None:
    aio_server_interceptor(client)


async def _serve(client: Any) -> None:
    ContextMiddleware(see, client)


async def _queue(client: Any) -> None:
    ActionQueues(RedisBroker(), client, service="s")


def _blocking(_: aio.Channel, exempt: Any) -> object:
    return client_interceptors(exempt=exempt)


def _asyncio(_: aio.Channel, exempt: Any) -> object:
    return aio_client_interceptors(exempt=exempt)


def _channel(channel: aio.Channel, exempt: Any) -> object:
    return aio_context_channel(channel, exempt=exempt)


@pytest.mark.parametrize("make", [_blocking, _asyncio, _channel])
async def test_a_coroutine_function_that_exempts_calls(
    make: Callable[[aio.Channel, Any], object],
) -> None:
    """TypeError: a coroutine is always true, so every call would be exempt."""

    async def exempt(_: str) -> bool:
        return False

    async with aio.insecure_channel(NOWHERE) as channel:
        with pytest.raises(TypeError, match="exempt must be a plain function"):
            make(channel, exempt)


@pytest.mark.parametrize(
    "use, instead",
    [(server_interceptor, "aio_server_interceptor"), (_bind, "aio_bound")],
)
async def test_an_asyncio_client_for_threads(use: Callable[[Any], object], instead: str) -> None:
    """An asyncio client for a blocking server is a TypeError that names the right function."""
    async with AsyncContextClient(NOWHERE) as client:
        with pytest.raises(TypeError, match="an AsyncContextClient: for that there is") as caught:
            use(client)
    assert str(caught.value).endswith(instead)


@pytest.mark.parametrize(
    "use, instead",
    [
        (_intercept, "server_interceptor"),
        (_bind_async, "bound"),
        (_serve, None),
        (_queue, None),
    ],
)
async def test_a_blocking_client_for_a_loop(
    use: Callable[[Any], Awaitable[None]], instead: str | None
) -> None:
    """A blocking client on an asyncio server is a TypeError: it would block the loop."""
    with (
        ContextClient(NOWHERE) as client,
        pytest.raises(TypeError, match="needs an AsyncContextClient, and got a ") as caught,
    ):
        await use(client)
    end = f"for that there is {instead}" if instead else "and got a ContextClient"
    assert str(caught.value).endswith(end)


@pytest.mark.parametrize("wrong", [NOWHERE, None])
def test_no_client_at_all(wrong: Any) -> None:
    """An address or None in place of a client is a TypeError."""
    for use in (server_interceptor, aio_server_interceptor):
        with pytest.raises(TypeError, match=r"interceptor needs an? \w*Client, and got"):
            use(wrong)


def test_a_clients_double() -> None:
    """A test double with the client's methods is accepted."""

    class Double:
        def resolve(self, *_: Any, **__: Any) -> ContextEntry:
            return entry_of("double")

    double: Any = Double()
    server_interceptor(double)
    aio_server_interceptor(double)


@pytest.mark.parametrize("case", ["no_reference", "not_found", "unavailable"])
def test_coroutine_functions_in_threads(case: str) -> None:
    """A policy's coroutine function on a blocking server is a TypeError that names it."""

    async def make(_: LostContext) -> ExecutionContext:
        return ExecutionContext()

    given: dict[str, Any] = {case: make}
    policy = Policy(**given)
    default: Any = {"policy": policy}
    of_some: Any = {"policies": [(filters.prefix("/"), policy)]}
    with ContextClient(NOWHERE) as client:
        for rules in (default, of_some):
            with pytest.raises(TypeError, match=f"{case} must be a plain function"):
                server_interceptor(client, **rules)
        binding = bound(ACTION, client, policy=policy)
        with pytest.raises(TypeError, match=case), binding:
            pass


async def make_context(_: ContextKey) -> ExecutionContext:
    """A loader or factory of asyncio's kind."""
    return ExecutionContext()


class Maker:
    """A callable object of that kind."""

    async def __call__(self, key: ContextKey) -> ExecutionContext:
        """Create a context."""
        return await make_context(key)


COROUTINE_FUNCTIONS = [make_context, partial(make_context), Maker(), Maker().__call__]


@pytest.mark.parametrize(
    "make", COROUTINE_FUNCTIONS, ids=["function", "partial", "object", "method"]
)
async def test_coroutine_functions_that_make_entries(make: Any) -> None:
    """A coroutine function for a blocking client is a TypeError, and nothing is sent."""
    loaders = {"agent_config": make}
    with pytest.raises(TypeError, match=r"loaders\['agent_config'\] must be a plain function"):
        ContextClient(NOWHERE, loaders=loaders)
    with ContextClient(NOWHERE) as client:
        for _ in range(2):
            with pytest.raises(TypeError, match="factory must be a plain function"):
                client.get_or_create(KEY, make)
    async with AsyncContextClient(NOWHERE, loaders=loaders) as asyncio_client:
        with pytest.raises(UnavailableError):  # the store is unreachable, but the function is right
            await asyncio_client.get_or_create(KEY, make)


async def test_filters_that_are_coroutine_functions() -> None:
    """A coroutine function as a filter is refused, as for the other rules."""

    async def always(_: str) -> bool:
        return False

    exempt: Any = {"exempt": always}
    policies: Any = {"policies": [(always, Policy())]}
    async with AsyncContextClient(NOWHERE) as client:
        with ContextClient(NOWHERE) as blocking:
            for rules in (exempt, policies):
                (name,) = rules
                with pytest.raises(TypeError, match=f"{name} must be a plain function"):
                    server_interceptor(blocking, **rules)
                with pytest.raises(TypeError, match=f"{name} must be a plain function"):
                    aio_server_interceptor(client, **rules)


async def test_channels() -> None:
    """A channel of the wrong kind is refused by the client and by the wrapping function."""
    async with aio.insecure_channel(NOWHERE) as channel:
        with pytest.raises(
            TypeError,
            match=r"needs a grpc.Channel, and got a grpc.aio.Channel: .* AsyncContextClient",
        ):
            ContextClient(channel=channel)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        with pytest.raises(TypeError, match="for that there is aio_context_channel"):
            context_channel(channel)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with grpc.insecure_channel(NOWHERE) as blocking:
        with pytest.raises(
            TypeError, match=r"needs a grpc.aio.Channel, and got a grpc.Channel: .* ContextClient"
        ):
            AsyncContextClient(channel=blocking)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        with pytest.raises(TypeError, match="for that there is context_channel"):
            aio_context_channel(blocking)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
