"""Incomplete contexts: the service's log names the missing layers, the caller's error does not."""

import logging
from uuid import uuid4

import pytest
from grpc import StatusCode
from relevo_client import (
    ContextKey,
    ContextRef,
    ExecutionContext,
    Fallback,
    IncompleteContextError,
    LostContext,
    Policy,
)
from relevo_client.asgi import ContextMiddleware
from relevo_client.testing import LocalStore
from support.clients.plays import UNARY_SHAPES, naming, play
from support.servers.asgi import ask, see
from support.servers.hosting import StoreClients
from support.servers.shapes import Shape

INCOMPLETE = StatusCode.FAILED_PRECONDITION, "the call's context is incomplete"
each_shape = pytest.mark.parametrize("shape", UNARY_SHAPES, ids=str)


def incomplete(store: LocalStore) -> tuple[ContextRef, str]:
    """A context with one present and one missing layer, and the key of the missing one."""
    there, missing = (ContextKey("agent_config", "acme", uuid4().hex) for _ in range(2))
    key = ContextKey("conversation", "acme", uuid4().hex)
    store.client.put(there, ExecutionContext(agent_config={"secret": "value"}))
    ref = store.client.put(key, ExecutionContext(tenant_id="acme", includes=(there, missing)))
    return ref, missing.text


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The warnings of the client's logger."""
    return [
        each.getMessage()
        for each in caplog.records
        if each.name == "relevo_client" and each.levelno >= logging.WARNING
    ]


@each_shape
async def test_a_call(
    store: LocalStore,
    clients: StoreClients,
    caplog: pytest.LogCaptureFixture,
    shape: Shape,
) -> None:
    """One WARNING has only the missing keys; the status has the fixed text, at each call."""
    caplog.set_level(logging.DEBUG)
    ref, missing = incomplete(store)
    interceptor = clients.interceptor(shape.server, trust_callers=True)
    for _ in range(2):
        over = await play(shape, interceptor, naming(ref))
        assert over.refusal == INCOMPLETE
        assert over.outcome.trailing == []
    assert warned(caplog) == [f"{ref.key} is incomplete: there is no {missing}"]


@each_shape
async def test_what_a_policy_is_told(
    store: LocalStore,
    clients: StoreClients,
    caplog: pytest.LogCaptureFixture,
    shape: Shape,
) -> None:
    """Under a policy that proceeds, the log has the keys, too, and so has the policy's function."""
    asked: list[LostContext] = []

    def make(lost: LostContext) -> ExecutionContext:
        asked.append(lost)
        return ExecutionContext()

    for policy in (Policy(incomplete=make), Policy(incomplete=Fallback.PROCEED)):
        ref, missing = incomplete(store)
        interceptor = clients.interceptor(shape.server, trust_callers=True, policy=policy)
        over = await play(shape, interceptor, naming(ref))
        assert over.outcome.code is StatusCode.OK
        assert warned(caplog)[-1] == f"{ref.key} is incomplete: there is no {missing}"
        if asked:
            error = asked.pop().error
            assert isinstance(error, IncompleteContextError)
            assert (error.key, error.missing) == (ref.key.text, (missing,))


async def test_a_request(
    store: LocalStore, clients: StoreClients, caplog: pytest.LogCaptureFixture
) -> None:
    """The same holds for requests at the HTTP edge."""
    ref, missing = incomplete(store)
    headers = {"X-Tenant-ID": "acme", "X-Conversation-ID": ref.key.id}
    answer = await ask(ContextMiddleware(see, clients.asyncio), headers.items())
    assert answer.status == 409
    assert missing not in str(answer.body)
    assert warned(caplog) == [f"{ref.key} is incomplete: there is no {missing}"]


async def test_the_exception(store: LocalStore, clients: StoreClients) -> None:
    """The exception of a direct `resolve` has the missing keys, from the store and the cache."""
    ref, missing = incomplete(store)
    with pytest.raises(IncompleteContextError) as caught:
        clients.blocking.resolve(ref)
    assert (caught.value.key, caught.value.missing) == (ref.key.text, (missing,))
    for fresh in (True, False):
        with pytest.raises(IncompleteContextError, match=missing) as caught:
            await clients.asyncio.resolve(ref, fresh=fresh)
        assert (caught.value.key, caught.value.missing) == (ref.key.text, (missing,))
