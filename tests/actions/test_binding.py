"""An action's context is current for exactly one message, with both clients."""

import asyncio
from typing import Any

import pytest
from relevo_client import (
    ContextKey,
    ContextRef,
    ExecutionContext,
    Fallback,
    IncompleteContextError,
    InvalidFieldError,
    LostContext,
    NoContextError,
    NotFoundError,
    Policy,
    StoreBehindError,
    UnavailableError,
    await_context,
    current_entry,
    current_ref,
    use_context,
)
from relevo_client.actions import aio_bound, bound
from relevo_client.testing import LocalStore
from support.clients.actions import action_of, binding, current_key, trace_id, user
from support.clients.caching import until_known
from support.servers.hosting import StoreClients
from support.servers.shapes import Kind

TRACE = "00-" + "1" * 32 + "-" + "2" * 16 + "-01"

pytestmark = pytest.mark.parametrize("kind", ["blocking", "asyncio"])


def put(store: LocalStore, tenant: str, user_id: str) -> ContextRef:
    """The reference of a new context."""
    key = ContextKey("conversation", tenant, "c-1")
    return store.client.put(key, ExecutionContext(tenant_id=tenant, user_id=user_id))


async def test_it_is_current_within(kind: Kind, clients: StoreClients, ref: ContextRef) -> None:
    """Within the block, the action's context is current; after it, none."""
    async with binding(kind, clients, action_of(ref)):
        assert user() == "u-1"
        assert current_ref() == ref
    assert user() is None
    assert current_ref() is None


async def test_a_consumer_of_many_messages(
    kind: Kind, clients: StoreClients, store: LocalStore
) -> None:
    """Each message has its own context, without a reference none, and again after a redelivery."""
    refs = {name: put(store, name, f"user of {name}") for name in ("acme", "globex")}
    seen: list[str | None] = []
    for name in ("acme", None, "globex", "acme", None):
        async with binding(kind, clients, action_of(refs[name] if name else None)):
            seen.append(user())
        assert current_ref() is None
    assert seen == ["user of acme", None, "user of globex", "user of acme", None]


async def test_a_failure_leaves_nothing_behind(
    kind: Kind, clients: StoreClients, ref: ContextRef
) -> None:
    """An exception of the handler passes, and the context ends with the block."""
    with pytest.raises(ZeroDivisionError):
        async with binding(kind, clients, action_of(ref, trace_context={"traceparent": TRACE})):
            raise ZeroDivisionError
    assert current_ref() is None
    assert trace_id() == 0


async def test_nothing_ambient(
    kind: Kind, clients: StoreClients, ref: ContextRef, store: LocalStore
) -> None:
    """An action without a reference has no context, whatever is current around it."""
    with use_context(store.client.resolve(ref)):
        async with binding(kind, clients, action_of()):
            assert current_ref() is None
        assert user() == "u-1"


async def test_no_older_context_than_the_senders(
    kind: Kind, clients: StoreClients, ref: ContextRef, store: LocalStore
) -> None:
    """A cached context is used only if it is as new as the reference."""
    async with binding(kind, clients, action_of(ref)):
        pass
    await until_known(clients, ref)
    newer = store.client.update(ref.key, {"user_id": "u-2"})
    async with binding(kind, clients, action_of(newer)):
        assert user() == "u-2"


async def test_what_is_known_asks_nobody(
    kind: Kind, clients: StoreClients, ref: ContextRef
) -> None:
    """From the second message on, the near cache answers."""
    await until_known(clients, ref)
    client = clients.blocking if kind == "blocking" else clients.asyncio
    asked = client.cache_counts.misses
    async with binding(kind, clients, action_of(ref)):
        assert user() == "u-1"
    assert client.cache_counts.misses == asked


async def test_another_tenants_context_is_refused(
    kind: Kind, clients: StoreClients, ref: ContextRef
) -> None:
    """A reference of another tenant is malformed; for an action without a tenant, any is valid."""
    with pytest.raises(InvalidFieldError) as raised:
        async with binding(kind, clients, action_of(ref, tenant_id="other")):
            pytest.fail("must not be entered")
    assert raised.value.violations[0][0] == "context_ref"
    async with binding(kind, clients, action_of(ref, tenant_id="")):
        assert user() == "u-1"


async def test_why_it_is_rejected(kind: Kind, clients: StoreClients, store: LocalStore) -> None:
    """If the policy rejects, the consumer gets the error with the cause."""
    key = ContextKey("conversation", "acme", "c-9")
    agent = ContextKey("agent_config", "acme", "a-9")
    reject = Policy(no_reference=Fallback.REJECT)
    with pytest.raises(NoContextError, match="the action names no context"):
        async with binding(kind, clients, action_of(), policy=reject):
            pass
    with pytest.raises(NotFoundError):
        async with binding(kind, clients, action_of(ContextRef(key))):
            pass
    ref = store.client.put(key, ExecutionContext(tenant_id="acme", includes=(agent,)))
    with pytest.raises(IncompleteContextError):
        async with binding(kind, clients, action_of(ref)):
            pass
    with pytest.raises(StoreBehindError):
        async with binding(kind, clients, action_of(ContextRef(key, ref.revision + (1 << 40)))):
            pass


async def test_the_store_is_gone(kind: Kind, without_store: StoreClients, ref: ContextRef) -> None:
    """If the store is unavailable, the policy decides, and the reference is kept."""
    with pytest.raises(UnavailableError):
        async with binding(kind, without_store, action_of(ref)):
            pass
    proceed = Policy(unavailable=Fallback.PROCEED)
    async with binding(kind, without_store, action_of(ref), policy=proceed):
        assert current_ref() is None


async def test_a_context_is_made(kind: Kind, without_store: StoreClients, ref: ContextRef) -> None:
    """A policy's function rebuilds the context from the action, whose reference is passed on."""
    asked: list[LostContext] = []

    def make(lost: LostContext) -> ExecutionContext:
        asked.append(lost)
        return ExecutionContext(user_id="made")

    policy = Policy(unavailable=make)
    async with binding(kind, without_store, action_of(ref), policy=policy, timeout=5):
        assert user() == "made"
        assert current_ref() == ref
    (lost,) = asked
    assert (lost.method, lost.ref, lost.metadata) == ("query.search.run", ref, ())
    assert isinstance(lost.error, UnavailableError)


async def test_a_function_that_fails(
    kind: Kind,
    without_store: StoreClients,
    ref: ContextRef,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """If the function fails, the reason is the store's, and the log has no values."""

    def make(_: LostContext) -> ExecutionContext:
        raise ValueError("secret")

    with pytest.raises(UnavailableError):
        async with binding(kind, without_store, action_of(ref), policy=Policy(unavailable=make)):
            pass
    assert "ValueError in " in caplog.text
    assert "secret" not in caplog.text


async def test_the_last_known_copy(kind: Kind, clients: StoreClients, ref: ContextRef) -> None:
    """By policy, an action gets the last known context, marked as stale."""
    await until_known(clients, ref)
    ahead = ContextRef(ref.key, ref.revision + (1 << 40))
    policy = Policy(too_old=Fallback.LAST_KNOWN)
    async with binding(kind, clients, action_of(ahead), policy=policy):
        entry = current_entry()
        assert entry is not None
        assert entry.is_stale
        assert current_ref() == ahead


async def test_lazily(kind: Kind, clients: StoreClients, ref: ContextRef) -> None:
    """A lazy policy asks the store at the handler's first use; the reference is there before."""
    async with binding(kind, clients, action_of(ref), policy=Policy(lazy=True)):
        assert current_ref() == ref
        context = user() if kind == "blocking" else await await_context()
        assert context == "u-1" or isinstance(context, ExecutionContext)
        assert user() == "u-1"


async def test_only_passed_on(kind: Kind, ref: ContextRef) -> None:
    """Without a client nothing is resolved, and outgoing actions have the reference."""
    nobody: Any = StoreClients(None, None)  # type: ignore[arg-type]
    async with binding(kind, nobody, action_of(ref)):
        assert user() is None
        assert await await_context() is None
        assert current_ref() == ref
    assert current_ref() is None


async def test_the_trace_goes_on(kind: Kind, clients: StoreClients, span: str) -> None:
    """Within the block, the action's trace is current; without one, the current trace stays."""
    assert span
    async with binding(kind, clients, action_of(trace_context={"traceparent": TRACE})):
        assert trace_id() == int("1" * 32, 16)
    assert trace_id() == 0xA
    for trace in ({}, {"traceparent": "nonsense"}):
        async with binding(kind, clients, action_of(trace_context=trace)):
            assert trace_id() == 0xA


async def test_messages_at_the_same_time(
    kind: Kind, clients: StoreClients, store: LocalStore
) -> None:
    """Concurrent messages of different tenants each have their own context."""
    refs = [put(store, f"tenant-{n}", f"user-{n}") for n in range(8)]
    together = asyncio.Barrier(len(refs))

    async def work(number: int, ref: ContextRef) -> None:
        async with binding(kind, clients, action_of(ref)):
            for _ in range(3):
                await together.wait()
                assert user() == f"user-{number}"
                assert current_key() == ref.key
        assert current_ref() is None

    async with asyncio.TaskGroup() as group:
        for number, ref in enumerate(refs):
            group.create_task(work(number, ref))


async def test_what_the_block_gives(kind: Kind, clients: StoreClients, ref: ContextRef) -> None:
    """`as` returns the context, or None if there is none or it is not resolved yet."""
    lazy = Policy(lazy=True)
    if kind == "blocking":
        with bound(action_of(ref), clients.blocking) as context:
            assert context is not None
            assert context.user_id == "u-1"
        with bound(action_of(ref), clients.blocking, policy=lazy) as context:
            assert context is None
    else:
        async with aio_bound(action_of(ref), clients.asyncio) as context:
            assert context is not None
            assert context.user_id == "u-1"
        async with aio_bound(action_of(ref), clients.asyncio, policy=lazy) as context:
            assert context is None


async def test_what_an_action_hears(kind: Kind, clients: StoreClients, ref: ContextRef) -> None:
    """A reply has the newest revision that the action's handler has written or heard of.

    The next action hears nothing of it, and neither does whoever has handled the action.
    """
    action = action_of(ref).update(callback_queue="q", callback_action_type="a.b.c")
    key = ContextKey("note", ref.key.tenant_id, "n")
    async with binding(kind, clients, action):
        written = await _written(kind, clients, key)
        assert action.reply({}).context_ref == ContextRef(ref.key, written)
        assert current_ref() == ContextRef(ref.key, written)
    assert action.reply({}).context_ref == ref
    async with binding(kind, clients, action):
        assert current_ref() == ref


async def _written(kind: Kind, clients: StoreClients, key: ContextKey) -> int:
    if kind == "blocking":
        return clients.blocking.put(key, ExecutionContext()).revision
    return (await clients.asyncio.put(key, ExecutionContext())).revision
