"""A `begin` that fails, hangs or finds nothing: it is refused, or goes on by the policy."""

import asyncio
import logging
from typing import Any

import pytest
from asgi.answers import FAILED, KEY, UNAVAILABLE, why
from relevo_client import (
    AsyncContextClient,
    ContextKey,
    ExecutionContext,
    InvalidFieldError,
    NotFoundError,
    UnavailableError,
)
from relevo_client.asgi import ContextMiddleware
from relevo_client.testing import LocalStore
from support.servers.asgi import HEADERS, ask, see


async def test_nothing_begins_without_begin(contexts: AsyncContextClient) -> None:
    """Where the service begins no conversations, one that does not exist is 409."""
    answer = await ask(ContextMiddleware(see, contexts), HEADERS.items())
    assert why(answer) == (409, "NOT_FOUND", "the call's context does not exist")


async def fails(_: ExecutionContext) -> ExecutionContext:
    """A `begin` with a defect."""
    raise RuntimeError("secret")


async def nothing(_: ExecutionContext) -> Any:
    """A `begin` that forgets to return."""


async def of_another_tenant(identity: ExecutionContext) -> ExecutionContext:
    """A `begin` whose context the store refuses."""
    return identity.update(includes=(ContextKey("agent_config", "secret-tenant", "a"),))


async def is_slow(_: ExecutionContext) -> ExecutionContext:
    """A `begin` whose own call took too long."""
    raise TimeoutError("secret")


@pytest.mark.parametrize(
    "begin, error",
    [
        (fails, RuntimeError),
        (nothing, TypeError),
        (of_another_tenant, InvalidFieldError),
        (is_slow, TimeoutError),
    ],
)
async def test_a_begin_that_fails(
    contexts: AsyncContextClient,
    store: LocalStore,
    caplog: pytest.LogCaptureFixture,
    begin: Any,
    error: type[Exception],
) -> None:
    """It is 500 with a fixed text, logged by type and place, and the next request tries anew."""
    del store
    app = ContextMiddleware(see, contexts, begin=begin)
    for _ in range(2):
        assert why(await ask(app, HEADERS.items())) == FAILED
    records = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(records) == 2
    for record in records:
        text = f"{begin.__name__} failed on a call's context: {error.__name__}"
        assert record.getMessage().startswith(text)
    assert "secret" not in caplog.text


async def test_a_begin_whose_store_is_down(contexts: AsyncContextClient) -> None:
    """What `begin` could not ask the store for is the policy's to decide, as is all else."""

    async def begin(_: ExecutionContext) -> ExecutionContext:
        raise UnavailableError("internals", reason="UNAVAILABLE", retry_after=2.5)

    answer = await ask(ContextMiddleware(see, contexts, begin=begin), HEADERS.items())
    assert (why(answer), answer.headers["retry-after"]) == (UNAVAILABLE, "3")


async def test_a_begin_that_finds_nothing(contexts: AsyncContextClient, store: LocalStore) -> None:
    """Where what a conversation would build on does not exist, it is 409, and asked for once."""
    del store
    asked: list[ExecutionContext] = []

    async def begin(identity: ExecutionContext) -> ExecutionContext:
        asked.append(identity)
        raise NotFoundError("internals", reason="NOT_FOUND")

    answer = await ask(ContextMiddleware(see, contexts, begin=begin), HEADERS.items())
    assert why(answer) == (409, "NOT_FOUND", "the call's context does not exist")
    assert len(asked) == 1


async def test_a_begin_that_hangs(contexts: AsyncContextClient) -> None:
    """A request gives up in its time; the beginning goes on for those that come later."""
    go = asyncio.Event()
    begun: list[ExecutionContext] = []

    async def begin(identity: ExecutionContext) -> ExecutionContext:
        begun.append(identity)
        await go.wait()
        return identity

    hurried = ContextMiddleware(see, contexts, begin=begin, timeout=0.2)
    assert why(await ask(hurried, HEADERS.items())) == UNAVAILABLE
    go.set()
    patient = ContextMiddleware(see, contexts, begin=begin)
    assert (await ask(patient, HEADERS.items())).body["key"] == KEY.text
    assert len(begun) == 1
