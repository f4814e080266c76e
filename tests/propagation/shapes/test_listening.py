"""Who listens for the trailing metadata of a call hears it before the caller gets on."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple

import grpc
import pytest
from grpc import StatusCode, aio
from relevo_client import (
    ContextEntry,
    aio_client_interceptors,
    aio_context_channel,
    use_context,
)
from relevo_client._propagation.listening import Listener
from relevo_client._propagation.metadata import Pairs
from relevo_client._propagation.outgoing import Outbound
from support.clients.callers import calling
from support.servers.hosting import SERVICE, hosted
from support.servers.shapes import Behaviour, Kind
from support.waiting import until_async

ARITIES = ["unary_unary", "unary_stream", "stream_unary", "stream_stream"]
TRAILING = ("x-trailing", "2")


class Heard(NamedTuple):
    """What the listeners of the test's channels have heard."""

    sent: list[Pairs | None]
    """The metadata of each call for which there was a listener."""
    trailing: list[list[tuple[str, str | bytes]]]
    """The trailing metadata of each call that has ended."""


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Heard:
    """Make every channel listen."""
    heard = Heard([], [])

    def listener(_: Outbound, metadata: Pairs | None) -> Listener:
        heard.sent.append(list(metadata or ()))
        return lambda trailing: heard.trailing.append([(n, v) for n, v in trailing or ()])

    monkeypatch.setattr(Outbound, "listener", listener)
    return heard


def _everything(_: str) -> bool:
    return True


async def _once(request: Any, context: Any) -> bytes:
    if not isinstance(request, bytes):
        assert [each async for each in request]
    context.set_trailing_metadata((TRAILING,))
    return b"answer"


async def _stream(request: Any, context: Any) -> AsyncIterator[bytes]:
    yield await _once(request, context)


async def _fail(request: Any, context: Any) -> bytes:
    await _once(request, context)
    await context.abort(StatusCode.NOT_FOUND, "no")
    return b""


async def _fail_late(request: Any, context: Any) -> AsyncIterator[bytes]:
    yield await _fail(request, context)


@pytest.fixture
async def address() -> AsyncIterator[str]:
    """A service with two methods of each arity: one answers, one fails."""
    methods: dict[str, tuple[str, Behaviour]] = {}
    for arity in ARITIES:
        is_stream = arity.endswith("stream")
        methods[arity] = arity, _stream if is_stream else _once
        methods[f"{arity}-fails"] = arity, _fail_late if is_stream else _fail
    async with hosted("asyncio", methods) as host:
        yield host.address


@pytest.mark.parametrize("fails", [False, True], ids=["answers", "fails"])
@pytest.mark.parametrize("arity", ARITIES)
@pytest.mark.parametrize("wrapped", [False, True], ids=["interceptors", "channel"])
async def test_asyncio_calls_are_heard(
    *, heard: Heard, address: str, entry: ContextEntry, wrapped: bool, arity: str, fails: bool
) -> None:
    """Once an asyncio call has ended for its caller, its listener has heard it, failed or not."""
    method = f"{arity}-fails" if fails else arity
    async with calling("asyncio", address, wrapped=wrapped) as caller:
        with use_context(entry):
            call = caller.begin(arity, method)
        try:
            if arity.endswith("stream"):
                async for _ in call:
                    pass
            else:
                await call
        except aio.AioRpcError:
            assert fails
        found = [*heard.trailing]
    assert found == [[TRAILING]]
    assert ("context-key", entry.key.text) in list(heard.sent[0] or ())


class _Answering(aio.UnaryUnaryClientInterceptor):
    """Answers itself, or waits for the call."""

    def __init__(self, *, waits: bool) -> None:
        self._waits = waits

    async def intercept_unary_unary(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        """Return the answer, or the call that has ended."""
        if not self._waits:
            return b"answer"
        call = await continuation(client_call_details, request)
        await call
        return call


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("wrapped", [False, True], ids=["interceptors", "channel"])
async def test_asyncio_calls_through_interceptors_are_heard(
    *, heard: Heard, address: str, entry: ContextEntry, wrapped: bool, waits: bool
) -> None:
    """An inner interceptor may end the call, or answer in its place: then there is no metadata."""
    theirs = _Answering(waits=waits)
    ours: Sequence[Any] = [] if wrapped else aio_client_interceptors()
    async with aio.insecure_channel(address, interceptors=[*ours, theirs]) as inner:
        channel: Any = aio_context_channel(inner) if wrapped else inner
        with use_context(entry):
            call = channel.unary_unary(f"/{SERVICE}/unary_unary")(b"", timeout=10)
        assert await call == b"answer"
        found = [*heard.trailing]
    assert found == [[TRAILING] if waits else []]


@pytest.mark.parametrize("fails", [False, True], ids=["answers", "fails"])
@pytest.mark.parametrize("begin", ["call", "with_call"])
@pytest.mark.parametrize("arity", ["unary_unary", "stream_unary"])
@pytest.mark.parametrize("wrapped", [False, True], ids=["interceptors", "channel"])
async def test_blocking_calls_are_heard(
    *,
    heard: Heard,
    address: str,
    entry: ContextEntry,
    wrapped: bool,
    arity: str,
    begin: str,
    fails: bool,
) -> None:
    """Once a blocking call has returned or raised, its listener has heard it."""

    def use(channel: Any) -> list[Any]:
        method = getattr(channel, arity)(f"/{SERVICE}/{arity}{'-fails' if fails else ''}")
        request: Any = b"" if arity.startswith("unary") else iter([b"", b""])
        try:
            with use_context(entry):
                (method if begin == "call" else method.with_call)(request, timeout=10)
        except grpc.RpcError:
            assert fails
        return [*heard.trailing]

    async with calling("blocking", address, wrapped=wrapped) as caller:
        found = await asyncio.to_thread(use, caller.channel)
    assert found == [[TRAILING]]
    assert ("context-key", entry.key.text) in list(heard.sent[0] or ())


@pytest.mark.parametrize("fails", [False, True], ids=["answers", "fails"])
@pytest.mark.parametrize("arity", ARITIES)
@pytest.mark.parametrize("wrapped", [False, True], ids=["interceptors", "channel"])
async def test_blocking_futures_and_streams_are_heard(
    *, heard: Heard, address: str, entry: ContextEntry, wrapped: bool, arity: str, fails: bool
) -> None:
    """The end of a blocking future or stream of answers is heard once."""
    method = f"{arity}-fails" if fails else arity
    async with calling("blocking", address, wrapped=wrapped) as caller:
        with use_context(entry):
            call = caller.begin(arity, method)
        await caller.outcome(arity, call)

        async def is_heard() -> bool:
            return bool(heard.trailing)

        await until_async(is_heard)
    assert heard.trailing == [[TRAILING]]


@pytest.mark.parametrize("kind", ["blocking", "asyncio"])
async def test_exempt_methods_are_not_heard(heard: Heard, address: str, kind: Kind) -> None:
    """A method whose calls carry nothing has no listener."""
    for wrapped in (False, True):
        async with calling(kind, address, wrapped=wrapped, exempt=_everything) as caller:
            call = caller.begin("unary_unary", "unary_unary")
            assert (await caller.outcome("unary_unary", call)).items == ["answer"]
    assert heard == Heard([], [])
