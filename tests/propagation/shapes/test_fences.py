"""Answers bring fences back: what a callee has written or heard of, its caller knows at once."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import grpc
import pytest
from grpc import StatusCode
from relevo_client import (
    ContextEntry,
    ContextKey,
    ContextRef,
    ExecutionContext,
    current_ref,
    use_context,
    wrap,
)
from relevo_client._context.fences import fence_of, raise_fence
from relevo_client._telemetry.counts import COUNTS
from support.clients.callers import calling
from support.servers.hosting import SERVICE, StoreClients, hosted
from support.servers.scenes import TRAILING, Ending, Scene
from support.servers.shapes import SHAPES, Behaviour, Kind, Shape

KINDS: tuple[Kind, ...] = ("blocking", "asyncio")
LATER = 1000
"""How much later the revisions are that the handlers of these tests hear of."""
IN_PLACE = (Ending.SET_CODE, Ending.EXCEPTION)
"""Endings after which gRPC sends the status, and not the handler itself."""
ABORTS = (Ending.ABORT, Ending.ABORT_WITH_STATUS)

CELLS = [
    *((shape, client, wrapped, Ending.SUCCESS) for shape in SHAPES for client in KINDS
      for wrapped in (False, True)),
    *((shape, "asyncio", True, ending) for shape in SHAPES for ending in IN_PLACE),
    *((shape, "blocking", True, ending) for shape in SHAPES for ending in ABORTS
      if shape.server == "blocking"),
]  # fmt: skip


class Writing(Scene):
    """A handler that writes at once, and sets trailing metadata of its own afterwards."""

    def __init__(self, ending: Ending, tenant_id: str, revision: int) -> None:
        super().__init__(ending)
        self._tenant_id, self._revision = tenant_id, revision
        self.let_go()

    def see(self) -> bytes:
        """Write."""
        raise_fence(self._tenant_id, self._revision)
        return super().see()


def later_than(entry: ContextEntry) -> ContextRef:
    """The entry's reference, with the later revision."""
    return ContextRef(entry.key, entry.revision + LATER)


@pytest.mark.parametrize("shape, client, wrapped, ending", CELLS)
async def test_every_shape_takes_the_fence_back(
    shape: Shape,
    client: Kind,
    wrapped: bool,
    ending: Ending,
    clients: StoreClients,
    entry: ContextEntry,
) -> None:
    """Whatever the shape of a handler and its end, its caller has the fence once the call is over.

    The trailing metadata that the handler has set is there, too.
    """
    later = later_than(entry)
    scene = Writing(ending, entry.key.tenant_id, later.revision)
    methods = {"Do": (shape.arity, shape.make(scene))}
    interceptors = [clients.interceptor(shape.server, trust_callers=True)]
    async with (
        hosted(shape.server, methods, interceptors=interceptors) as host,
        calling(client, host.address, wrapped=wrapped) as caller,
    ):
        with use_context(entry):
            outcome = await caller.outcome(shape.arity, caller.begin(shape.arity))
            assert current_ref() == later
        if client == "asyncio" or not shape.streams:
            assert later in outcome.refs
        trailing = [each for each in outcome.trailing if each[0] != "context-revision"]
        assert trailing == ([] if ending in (Ending.SUCCESS, Ending.EXCEPTION) else [TRAILING])
    assert current_ref() is None


@pytest.mark.parametrize("is_plain", [False, True], ids=["coroutine", "plain function"])
async def test_an_abort_on_an_event_loop(
    *, is_plain: bool, clients: StoreClients, entry: ContextEntry
) -> None:
    """On an asyncio server `abort` sends the status at once, and takes the fence back, too."""
    later = later_than(entry)

    def function(_: Any, context: Any) -> None:
        context.set_trailing_metadata((TRAILING,))
        raise_fence(entry.key.tenant_id, later.revision)
        context.abort(StatusCode.NOT_FOUND, "no")

    async def coroutine(_: Any, context: Any) -> None:
        context.set_trailing_metadata((TRAILING,))
        raise_fence(entry.key.tenant_id, later.revision)
        await context.abort(StatusCode.NOT_FOUND, "no")

    async with serving(clients, "asyncio", function if is_plain else coroutine) as caller:
        with use_context(entry):
            outcome = await caller.outcome("unary_unary", caller.begin("unary_unary"))
            assert outcome.trailing == [TRAILING, ("context-revision", str(later.revision))]
            assert current_ref() == later


def serving(
    clients: StoreClients,
    kind: Kind,
    behaviour: Behaviour,
    client: Kind = "asyncio",
    **rules: Any,
) -> Any:
    """A caller of a server with one method, `Do`."""

    @contextlib.asynccontextmanager
    async def entered() -> AsyncGenerator[Any]:
        interceptors = [clients.interceptor(kind, **{"trust_callers": True, **rules})]
        async with (
            hosted(kind, {"Do": ("unary_unary", behaviour)}, interceptors=interceptors) as host,
            calling(client, host.address, wrapped=True) as caller,
        ):
            yield caller

    return entered()


@pytest.mark.parametrize("fails", [False, True], ids=["answers", "fails"])
@pytest.mark.parametrize("begin", ["call", "with_call"])
@pytest.mark.parametrize("wrapped", [False, True], ids=["interceptors", "channel"])
async def test_a_blocking_call(
    *, wrapped: bool, begin: str, fails: bool, clients: StoreClients, entry: ContextEntry
) -> None:
    """Once a blocking call has returned or raised, its caller has the fence."""
    later = later_than(entry)

    def behaviour(_: Any, context: Any) -> bytes:
        raise_fence(entry.key.tenant_id, later.revision)
        if fails:
            context.abort(StatusCode.NOT_FOUND, "no")
        return b"answer"

    def use(channel: Any) -> ContextRef | None:
        method = channel.unary_unary(f"/{SERVICE}/Do")
        with use_context(entry):
            try:
                (method if begin == "call" else method.with_call)(b"", timeout=10)
            except grpc.RpcError:
                assert fails
            return current_ref()

    interceptors = [clients.interceptor("blocking", trust_callers=True)]
    methods = {"Do": ("unary_unary", behaviour)}
    async with (
        hosted("blocking", methods, interceptors=interceptors) as host,
        calling("blocking", host.address, wrapped=wrapped) as caller,
    ):
        assert await asyncio.to_thread(use, caller.channel) == later


@pytest.mark.parametrize("kind", KINDS)
async def test_a_chain(kind: Kind, clients: StoreClients, entry: ContextEntry) -> None:
    """What a callee has heard of from its own callee, its caller hears, too."""
    later = later_than(entry)

    def write(_: Any, __: Any) -> bytes:
        raise_fence(entry.key.tenant_id, later.revision)
        return b""

    async with serving(clients, "blocking", write, kind) as onward:

        def forward(_: Any, __: Any) -> bytes:
            onward.channel.unary_unary(f"/{SERVICE}/Do")(b"", timeout=10)
            return b""

        async def aio_forward(_: Any, __: Any) -> bytes:
            await onward.channel.unary_unary(f"/{SERVICE}/Do")(b"", timeout=10)
            return b""

        behaviour = forward if kind == "blocking" else aio_forward
        async with serving(clients, kind, behaviour) as caller:
            with use_context(entry):
                await caller.outcome("unary_unary", caller.begin("unary_unary"))
                assert current_ref() == later


def _is_nobody(_: Any) -> bool:
    return False


@pytest.mark.parametrize("trust", [False, _is_nobody], ids=["nobody", "not this one"])
@pytest.mark.parametrize("kind", KINDS)
async def test_untrusted_callers_hear_nothing(
    kind: Kind, trust: Any, clients: StoreClients, entry: ContextEntry
) -> None:
    """A caller that is not trusted is not told what was written."""

    def write(_: Any, __: Any) -> bytes:
        raise_fence(entry.key.tenant_id, entry.revision + LATER)
        return b""

    async def aio_write(request: Any, context: Any) -> bytes:
        return write(request, context)

    behaviour = write if kind == "blocking" else aio_write
    async with serving(clients, kind, behaviour, trust_callers=trust) as caller:
        with use_context(entry):
            outcome = await caller.outcome("unary_unary", caller.begin("unary_unary"))
            assert (outcome.trailing, current_ref()) == ([], entry.ref)


@pytest.mark.parametrize("kind", KINDS)
async def test_nothing_of_one_call_is_heard_in_another(
    kind: Kind, clients: StoreClients, entry: ContextEntry
) -> None:
    """The next call of the same thread or task begins with its own reference, or with nothing."""
    fences: list[int] = []

    def function(_: Any, __: Any) -> bytes:
        fences.append(fence_of(entry.key.tenant_id))
        raise_fence(entry.key.tenant_id, entry.revision + LATER)
        return b""

    async def coroutine(request: Any, context: Any) -> bytes:
        return function(request, context)

    behaviour = function if kind == "blocking" else coroutine
    async with serving(clients, kind, behaviour) as caller:
        for current in (entry, None, entry):
            with use_context(current):
                await caller.outcome("unary_unary", caller.begin("unary_unary"))
        call = caller.begin("unary_unary", metadata=(("context-key", entry.key.text),))
        await caller.outcome("unary_unary", call)
    # The last call's reference has no revision: what is resolved for it is the first to be heard.
    assert fences == [entry.revision, 0, entry.revision, entry.version]


@pytest.mark.parametrize("text", ["x", "-1", "1.5", "", "9223372036854775808", "9" * 30])
@pytest.mark.parametrize("client", KINDS)
async def test_a_malformed_revision(client: Kind, text: str, entry: ContextEntry) -> None:
    """A malformed revision in an answer changes nothing, and is counted."""
    await _must_be_refused(client, [("context-revision", text)], entry)


async def test_two_revisions(entry: ContextEntry) -> None:
    """Nobody can tell which one of two different revisions is meant."""
    trailing = [("context-revision", str(entry.revision + more)) for more in (1, 2)]
    await _must_be_refused("asyncio", trailing, entry)


async def _must_be_refused(
    client: Kind, trailing: list[tuple[str, str]], entry: ContextEntry
) -> None:
    def behaviour(_: Any, context: Any) -> bytes:
        context.set_trailing_metadata(tuple(trailing))
        return b""

    async with (
        hosted("blocking", {"Do": ("unary_unary", behaviour)}) as host,
        calling(client, host.address, wrapped=True) as caller,
    ):
        before = COUNTS.heard_refused
        with use_context(entry):
            outcome = await caller.outcome("unary_unary", caller.begin("unary_unary"))
            assert (outcome.items, current_ref()) == ([""], entry.ref)
        assert COUNTS.heard_refused > before


async def test_another_tenants_call(entry: ContextEntry) -> None:
    """An answer is about the tenant of the reference that its call carried, and no other."""
    other = ContextKey("conversation", "other", "c")

    def behaviour(_: Any, context: Any) -> bytes:
        context.set_trailing_metadata((("context-revision", str(entry.revision + LATER)),))
        return b""

    async with (
        hosted("blocking", {"Do": ("unary_unary", behaviour)}) as host,
        calling("asyncio", host.address, wrapped=True) as caller,
    ):
        with use_context(entry):
            await caller.channel.unary_unary(f"/{SERVICE}/Do")(
                b"", metadata=(("context-key", other.text),), timeout=10
            )
            assert current_ref() == entry.ref
            assert fence_of("other") == entry.revision + LATER


async def test_tasks_and_threads_of_a_call_share_what_it_hears(entry: ContextEntry) -> None:
    """A task, a thread and a wrapped function of a call hear, and are heard, as the call itself."""
    tenant_id = entry.key.tenant_id

    def rise(by: int) -> int:
        revision = entry.revision + by
        raise_fence(tenant_id, revision)
        return revision

    async def in_a_task() -> None:
        rise(3)

    with use_context(entry):
        fences: list[int] = []
        await asyncio.to_thread(rise, 1)
        fences.append(fence_of(tenant_id))
        await asyncio.get_running_loop().run_in_executor(None, wrap(rise), 2)
        fences.append(fence_of(tenant_id))
        await asyncio.create_task(in_a_task())
        fences.append(fence_of(tenant_id))
        with use_context(ExecutionContext()):
            rise(4)
        fences.append(fence_of(tenant_id))
        assert fences == [entry.revision + by for by in (1, 2, 3, 4)]
        wrapped = wrap(lambda: fence_of(tenant_id))
    assert fence_of(tenant_id) == 0
    assert wrapped() == entry.revision + 4
    assert fence_of(tenant_id) == 0


def test_steps_of_a_generator(entry: ContextEntry) -> None:
    """A wrapped generator hears in its steps what its call hears, and its caller does not."""

    def items() -> Iterator[int]:
        for by in (1, 2):
            raise_fence(entry.key.tenant_id, entry.revision + by)
            yield fence_of(entry.key.tenant_id)

    with use_context(entry):
        made = wrap(items)()
    assert [(each, fence_of(entry.key.tenant_id)) for each in made] == [
        (entry.revision + 1, 0),
        (entry.revision + 2, 0),
    ]
