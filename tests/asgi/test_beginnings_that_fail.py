"""A `begin` that fails, hangs or finds nothing: the request is refused, or the policy applies."""

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
    """Without a `begin`, a request for an unknown conversation is 409."""
    answer = await ask(ContextMiddleware(see, contexts), HEADERS.items())
    assert why(answer) == (409, "NOT_FOUND", "the call's context does not exist")


async def fails(_: ExecutionContext) -> ExecutionContext:
    """A `begin` with a defect."""
    raise RuntimeError("secret")


async def nothing(_: ExecutionContext) -> Any:
    """A `begin` without a return statement."""


async def of_another_tenant(identity: ExecutionContext) -> ExecutionContext:
    """A `begin` whose context the store refuses."""
    return identity.update(includes=(ContextKey("agent_config", "secret-tenant", "a"),))


async def is_slow(_: ExecutionContext) -> ExecutionContext:
    """A `begin` whose own call timed out."""
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
    """A failing `begin` is 500 with a fixed text, logged by class and line, and called again."""
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


async def test_who_waits_for_a_begin_that_fails(
    contexts: AsyncContextClient, store: LocalStore
) -> None:
    """Requests that wait for another one's `begin` get the same answer as that one."""
    del store
    app = ContextMiddleware(see, contexts, begin=of_another_tenant)
    answers = await asyncio.gather(*(ask(app, HEADERS.items()) for _ in range(3)))
    assert [why(answer) for answer in answers] == [FAILED] * 3


async def test_a_begin_whose_store_is_down(contexts: AsyncContextClient) -> None:
    """If `begin` cannot reach the store, the policy for an unavailable store applies."""

    async def begin(_: ExecutionContext) -> ExecutionContext:
        raise UnavailableError("internals", reason="UNAVAILABLE", retry_after=2.5)

    answer = await ask(ContextMiddleware(see, contexts, begin=begin), HEADERS.items())
    assert (why(answer), answer.headers["retry-after"]) == (UNAVAILABLE, "3")


async def test_a_begin_that_finds_nothing(contexts: AsyncContextClient, store: LocalStore) -> None:
    """If `begin` finds no agent, the answer is 409, after one call."""
    del store
    asked: list[ExecutionContext] = []

    async def begin(identity: ExecutionContext) -> ExecutionContext:
        asked.append(identity)
        raise NotFoundError("internals", reason="NOT_FOUND")

    answer = await ask(ContextMiddleware(see, contexts, begin=begin), HEADERS.items())
    assert why(answer) == (409, "NOT_FOUND", "the call's context does not exist")
    assert len(asked) == 1


async def test_a_begin_that_hangs(contexts: AsyncContextClient) -> None:
    """A request ends at its timeout; its `begin` continues for later requests."""
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
