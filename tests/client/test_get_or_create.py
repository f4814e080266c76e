"""`get_or_create`: concurrent calls for the same entry share one factory call."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Any

import pytest
from relevo.v1.store_pb2 import LeaseRequest
from relevo_client import (
    AsyncContextClient,
    ContextKey,
    ExecutionContext,
    NotFoundError,
    RelevoError,
    TooLargeError,
    UnavailableError,
    current_context,
    current_ref,
    use_context,
)
from relevo_server.server import Server
from support.clients.calls import Stub
from support.servers.relay import Relay


class Factory:
    """Returns contexts and counts its calls; `let` allows it to return."""

    def __init__(self, context: ExecutionContext | Exception) -> None:
        self.calls: list[ContextKey] = []
        self.started = asyncio.Event()
        self.let = asyncio.Event()
        self.cancelled = 0
        self._context = context

    async def __call__(self, key: ContextKey) -> ExecutionContext:
        """Return the given context, or raise the given exception."""
        self.calls.append(key)
        self.started.set()
        try:
            await self.let.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if isinstance(self._context, Exception):
            raise self._context
        return self._context


MADE = ExecutionContext(user_id="made")


@pytest.fixture
async def other(server: Server) -> AsyncIterator[AsyncContextClient]:
    """A second client, as in another process."""
    async with AsyncContextClient(server.address, timeout=10) as client:
        yield client


async def test_creates_what_is_not_there(client: AsyncContextClient, key: ContextKey) -> None:
    """If there is no live entry, the factory creates it; later calls do not call the factory."""
    factory = Factory(MADE)
    factory.let.set()
    created = await client.get_or_create(key, factory, ttl=60)
    found = await client.get_or_create(key, factory)
    assert factory.calls == [key]
    assert created.context.user_id == "made"
    assert created.version == found.version == (await client.get(key)).version
    assert 50 < found.ttl.total_seconds() <= 60


async def test_200_callers_share_one_factory_call(
    client: AsyncContextClient, key: ContextKey
) -> None:
    """All callers that wait while the factory runs get the entry that it created."""
    factory = Factory(MADE)
    callers = [asyncio.create_task(client.get_or_create(key, factory)) for _ in range(199)]
    await factory.started.wait()
    callers.append(asyncio.create_task(client.get_or_create(key, factory)))
    await asyncio.sleep(0)
    factory.let.set()
    entries = await asyncio.gather(*callers)
    assert factory.calls == [key]
    assert {entry.version for entry in entries} == {(await client.get(key)).version}


async def test_keys_do_not_wait_for_each_other(client: AsyncContextClient, key: ContextKey) -> None:
    """Only calls for the same key share a load: other entries are created in the meantime."""
    slow, fast = Factory(MADE), Factory(MADE)
    waiting = asyncio.create_task(client.get_or_create(key, slow))
    await slow.started.wait()
    fast.let.set()
    other = ContextKey(key.scope, key.tenant_id, "another")
    assert (await client.get_or_create(other, fast)).key == other
    assert not waiting.done()
    slow.let.set()
    assert (await waiting).key == key


async def test_a_cancelled_caller_disturbs_nobody(
    client: AsyncContextClient, key: ContextKey
) -> None:
    """No caller owns the load: the first one can be cancelled, and so can any others."""
    factory = Factory(MADE)
    callers = [asyncio.create_task(client.get_or_create(key, factory)) for _ in range(10)]
    await factory.started.wait()
    for caller in callers[:5]:
        caller.cancel()
    await asyncio.wait(callers[:5])
    factory.let.set()
    entries = await asyncio.gather(*callers[5:])
    assert all(caller.cancelled() for caller in callers[:5])
    assert {entry.context.user_id for entry in entries} == {"made"}
    assert factory.calls == [key]
    assert factory.cancelled == 0


async def test_the_load_goes_on_without_any_caller(
    client: AsyncContextClient, key: ContextKey
) -> None:
    """If all callers were cancelled, the entry is created all the same, for later callers."""
    factory = Factory(MADE)
    caller = asyncio.create_task(client.get_or_create(key, factory))
    await factory.started.wait()
    caller.cancel()
    await asyncio.wait([caller])
    factory.let.set()
    assert (await client.get_or_create(key, factory)).context.user_id == "made"
    assert factory.calls == [key]


async def test_a_callers_timeout_is_its_own(client: AsyncContextClient, key: ContextKey) -> None:
    """A caller with a short timeout gets TimeoutError; one with a longer one gets the entry."""
    factory = Factory(MADE)
    patient = asyncio.create_task(client.get_or_create(key, factory))
    await factory.started.wait()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.get_or_create(key, factory), 0.01)
    factory.let.set()
    assert (await patient).context.user_id == "made"


async def test_what_the_factory_raises_reaches_all(
    client: AsyncContextClient, key: ContextKey
) -> None:
    """Every waiting caller gets the factory's own exception; the next call tries again."""
    broken = Factory(RuntimeError("agent management is down"))
    callers = [asyncio.create_task(client.get_or_create(key, broken)) for _ in range(20)]
    await broken.started.wait()
    broken.let.set()
    raised = await asyncio.gather(*callers, return_exceptions=True)
    assert {str(error) for error in raised} == {"agent management is down"}
    assert {type(error) for error in raised} == {RuntimeError}
    assert broken.calls == [key]

    working = Factory(MADE)
    working.let.set()
    assert (await client.get_or_create(key, working)).context.user_id == "made"


async def test_a_factory_that_fails_gives_its_lease_back(
    client: AsyncContextClient, stub: Stub, key: ContextKey
) -> None:
    """Another process can create the entry at once, and does not wait for the lease's end."""
    broken = Factory(RuntimeError("agent management is down"))
    broken.let.set()
    with pytest.raises(RuntimeError):
        await client.get_or_create(key, broken)
    assert (await stub.Lease(LeaseRequest(key=key.to_message()))).lease.token


async def test_a_factory_that_finds_nothing(client: AsyncContextClient, key: ContextKey) -> None:
    """A factory may raise NotFoundError itself, and is not called again for it."""
    broken = Factory(NotFoundError("no such agent", reason="NOT_FOUND"))
    broken.let.set()
    with pytest.raises(NotFoundError, match="no such agent"):
        await client.get_or_create(key, broken)
    assert broken.calls == [key]


async def test_an_error_that_nobody_waits_for(client: AsyncContextClient, key: ContextKey) -> None:
    """A load that fails after its callers were cancelled causes no warning."""
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: complaints.append(what))
    broken = Factory(RuntimeError("nobody listens"))
    caller = asyncio.create_task(client.get_or_create(key, broken))
    await broken.started.wait()
    caller.cancel()
    await asyncio.wait([caller])
    del caller  # the variable would keep the load alive
    broken.let.set()
    with pytest.raises(NotFoundError):
        await client.get(key)  # after one more round trip, the load has failed
    gc.collect()
    assert complaints == []


async def test_what_the_factory_made_may_be_refused(
    client: AsyncContextClient, key: ContextKey
) -> None:
    """The store's refusal of a new entry reaches the callers unchanged."""
    factory = Factory(ExecutionContext(metadata={"x": "x" * 300_000}))
    factory.let.set()
    with pytest.raises(TooLargeError):
        await client.get_or_create(key, factory)


async def test_no_context_is_current_in_the_factory(
    client: AsyncContextClient, key: ContextKey
) -> None:
    """No context is current in the factory; other context variables are those of its caller."""
    request_id: ContextVar[str] = ContextVar("request_id", default="")
    seen: list[object] = []

    async def factory(_: ContextKey) -> ExecutionContext:
        seen.extend([current_context(), current_ref(), request_id.get()])
        return MADE

    mine = ContextKey("conversation", "acme", "mine")
    await client.put(mine, ExecutionContext(user_id="mine"))
    request_id.set("r-1")
    with use_context(await client.get(mine)):
        await client.get_or_create(key, factory)
        assert current_ref() is not None
    assert seen == [None, None, "r-1"]


async def test_another_process_was_faster(
    client: AsyncContextClient, other: AsyncContextClient, key: ContextKey
) -> None:
    """If the entry exists when the factory returns, it is returned and not overwritten."""
    mine = Factory(ExecutionContext(user_id="mine"))
    waiting = asyncio.create_task(client.get_or_create(key, mine))
    await mine.started.wait()
    theirs = await other.put(key, ExecutionContext(user_id="theirs"))
    mine.let.set()
    entry = await waiting
    assert (entry.context.user_id, entry.version) == ("theirs", theirs.revision)


async def test_the_store_is_asked_once(server: Server, key: ContextKey) -> None:
    """If the entry exists, a hundred concurrent callers share one call to the store."""
    async with (
        Relay(server.address) as relay,
        AsyncContextClient(relay.address, timeout=10) as client,
    ):
        await client.put(key, MADE)
        factory = Factory(MADE)
        await asyncio.gather(*(client.get_or_create(key, factory) for _ in range(100)))
        assert len(relay.of("Lease")) == 1
    assert factory.calls == []


async def test_a_store_that_is_away(key: ContextKey) -> None:
    """If the store is unreachable, the factory is not called."""
    factory = Factory(MADE)
    async with AsyncContextClient("127.0.0.1:1") as client:
        with pytest.raises(UnavailableError):
            await client.get_or_create(key, factory)
    assert factory.calls == []


async def test_closing_ends_the_load(server: Server, key: ContextKey) -> None:
    """`close` during a load cancels the factory, and all waiting callers get a RelevoError.

    Not CancelledError: nobody cancelled the callers, and code around them would take it for its own
    cancellation, and lose the failure.
    """
    factory = Factory(MADE)
    async with AsyncContextClient(server.address, timeout=10) as client:
        callers = [asyncio.create_task(client.get_or_create(key, factory)) for _ in range(3)]
        await factory.started.wait()
    raised = await asyncio.gather(*callers, return_exceptions=True)
    assert factory.cancelled == 1
    assert all(isinstance(error, RelevoError) for error in raised), raised
