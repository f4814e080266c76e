"""The caller gets gRPC's own call object, with all of its functions."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import pytest
from grpc import StatusCode, aio
from relevo_client import ContextEntry, aio_context_channel, context_channel, use_context
from support.clients.callers import calling
from support.servers.hosting import SERVICE, hosted
from support.servers.shapes import Behaviour, Kind
from support.waiting import until, until_async

ARITIES = ["unary_unary", "unary_stream", "stream_unary", "stream_stream"]
INITIAL, TRAILING = ("x-initial", "1"), ("x-trailing", "2")


class Service:
    """Handlers that answer when the test allows it, with metadata at both ends."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._gate = asyncio.Event()
        self._begun = self._cancelled = False

    def answer(self) -> None:
        """Allow the calls to answer. From any thread."""
        self._loop.call_soon_threadsafe(self._gate.set)

    async def has_begun(self) -> bool:
        """Whether a call has reached its handler."""
        return self._begun

    async def was_cancelled(self) -> bool:
        """Whether a handler was cancelled."""
        return self._cancelled

    def method(self, arity: str) -> tuple[str, Behaviour]:
        """The method of an arity."""
        return arity, self._stream if arity.endswith("stream") else self._once

    async def _once(self, _: Any, context: Any) -> bytes:
        await self._work(context)
        return b"answer"

    async def _stream(self, _: Any, context: Any) -> AsyncIterator[bytes]:
        await self._work(context)
        yield b"answer"

    async def _work(self, context: Any) -> None:
        await context.send_initial_metadata((INITIAL,))
        self._begun = True
        try:
            await self._gate.wait()
        except asyncio.CancelledError:
            self._cancelled = True
            raise
        context.set_trailing_metadata((TRAILING,))


@pytest.fixture
async def service() -> Service:
    """The service's handlers."""
    return Service()


@pytest.fixture
async def address(service: Service) -> AsyncIterator[str]:
    """The service, with a method of each arity named after it."""
    methods = {arity: service.method(arity) for arity in ARITIES}
    async with hosted("asyncio", methods) as host:
        yield host.address


class _Onward(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    def _intercept(self, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
        return continuation(details, request)

    intercept_unary_unary: Any = _intercept
    intercept_unary_stream: Any = _intercept
    intercept_stream_unary: Any = _intercept
    intercept_stream_stream: Any = _intercept


async def _onward(_: Any, continuation: Callable[..., Awaitable[Any]], *given: Any) -> Any:
    return await continuation(*given)


def _doing_nothing(kind: Kind) -> list[Any]:
    if kind == "blocking":
        return [_Onward()]
    bases = {
        "unary_unary": aio.UnaryUnaryClientInterceptor,
        "unary_stream": aio.UnaryStreamClientInterceptor,
        "stream_unary": aio.StreamUnaryClientInterceptor,
        "stream_stream": aio.StreamStreamClientInterceptor,
    }
    return [
        type("Onward", (base,), {f"intercept_{arity}": _onward})() for arity, base in bases.items()
    ]


@pytest.mark.parametrize("arity", ARITIES)
@pytest.mark.parametrize("wrapped", [False, True], ids=["interceptors", "channel"])
@pytest.mark.parametrize("kind", ["blocking", "asyncio"])
async def test_the_call_is_grpcs_own(
    *, service: Service, address: str, entry: ContextEntry, kind: Kind, wrapped: bool, arity: str
) -> None:
    """A call has the class that gRPC gives its own calls, however it is begun.

    With interceptors, it has the class for intercepted calls.
    """
    service.answer()
    theirs: list[Any] = [] if wrapped else _doing_nothing(kind)
    found: list[list[type]] = []
    for client in (
        calling(kind, address, wrapped=wrapped),
        calling(kind, address, interceptors=theirs),
    ):
        async with client as caller:
            with use_context(entry):
                call = caller.begin(arity, arity)
            assert (await caller.outcome(arity, call)).items == ["answer"]
            calls: list[object] = [call]
            if kind == "blocking" and not arity.endswith("stream"):
                method = getattr(caller.channel, arity)(f"/{SERVICE}/{arity}")
                request: Any = b"" if arity.startswith("unary") else iter([b""])
                answer, ended = await asyncio.to_thread(method.with_call, request, timeout=10)
                assert answer == b"answer"
                calls.append(ended)
            found.append([type(each) for each in calls])
    assert found[0] == found[1]


async def test_a_wrapped_channel_is_a_channel(address: str) -> None:
    """A wrapped channel offers all functions of a channel, and closes the inner one."""
    within = aio.insecure_channel(address)
    async with aio_context_channel(within) as channel:
        await asyncio.wait_for(channel.channel_ready(), 10)
        assert channel.get_state() is within.get_state() is grpc.ChannelConnectivity.READY
    assert within.get_state() is grpc.ChannelConnectivity.SHUTDOWN

    states: list[object] = []
    blocking = grpc.insecure_channel(address)
    with context_channel(blocking) as blocking_channel:
        future = grpc.channel_ready_future(blocking_channel)
        await asyncio.to_thread(future.result, 10)
        blocking_channel.subscribe(states.append)
        blocking_channel.unsubscribe(states.append)
    closed: Any = blocking
    with pytest.raises(ValueError, match="closed"):
        closed.unary_unary(f"/{SERVICE}/unary_unary")(b"")


@pytest.mark.parametrize("arity", ["unary_unary", "stream_unary"])
async def test_blocking_calls_with_one_answer(
    service: Service, address: str, entry: ContextEntry, arity: str
) -> None:
    """`__call__`, `with_call` and `future` work; the future does before and after its end."""

    def use(method: Any) -> None:
        def request() -> Any:
            return b"" if arity.startswith("unary") else iter([b"", b""])

        told: list[object] = []
        with use_context(entry):
            future = method.future(request(), timeout=30)
        future.add_done_callback(told.append)
        assert (future.running(), future.done(), future.cancelled()) == (True, False, False)
        assert future.is_active()
        assert 0 < future.time_remaining() <= 30
        service.answer()
        assert future.result(timeout=10) == b"answer"
        assert (future.exception(), future.traceback()) == (None, None)
        assert (future.running(), future.done(), future.cancelled()) == (False, True, False)
        assert (future.code(), future.details()) == (StatusCode.OK, "")
        assert INITIAL in list(future.initial_metadata())
        assert TRAILING in list(future.trailing_metadata())
        until(lambda: told, what="the callback is called")
        assert told == [future]

        with use_context(entry):
            assert method(request(), timeout=30) == b"answer"
            answer, call = method.with_call(request(), timeout=30)
        assert (answer, call.code(), call.details()) == (b"answer", StatusCode.OK, "")
        assert INITIAL in list(call.initial_metadata())
        assert TRAILING in list(call.trailing_metadata())
        assert not call.is_active()

    async with calling("blocking", address) as caller:
        await asyncio.to_thread(use, getattr(caller.channel, arity)(f"/{SERVICE}/{arity}"))


@pytest.mark.parametrize("arity", ["unary_stream", "stream_stream"])
async def test_blocking_streams(
    service: Service, address: str, entry: ContextEntry, arity: str
) -> None:
    """A stream of answers is a call object with all functions, while it runs and afterwards."""

    def use(method: Any) -> None:
        told: list[object] = []
        with use_context(entry):
            call = method(b"" if arity.startswith("unary") else iter([b"", b""]), timeout=30)
        assert call.add_callback(lambda: told.append("callback"))
        call.add_done_callback(told.append)
        assert INITIAL in list(call.initial_metadata())
        assert call.is_active()
        assert 0 < call.time_remaining() <= 30
        service.answer()
        assert list(call) == [b"answer"]
        assert (call.code(), call.details()) == (StatusCode.OK, "")
        assert TRAILING in list(call.trailing_metadata())
        assert not call.is_active()
        until(lambda: len(told) == 2, what="both callbacks are called")

    async with calling("blocking", address) as caller:
        await asyncio.to_thread(use, getattr(caller.channel, arity)(f"/{SERVICE}/{arity}"))


@pytest.mark.parametrize("arity", ARITIES)
async def test_asyncio_calls(
    service: Service, address: str, entry: ContextEntry, arity: str
) -> None:
    """An asyncio call has its functions while it runs and afterwards, and runs done callbacks."""
    told: list[object] = []
    async with calling("asyncio", address) as caller:
        with use_context(entry):
            call = caller.begin(arity, arity)
        call.add_done_callback(told.append)
        await until_async(service.has_begun, what="the handler is reached")
        assert (call.done(), call.cancelled()) == (False, False)
        service.answer()
        await call.wait_for_connection()
        answers = [each async for each in call] if arity.endswith("stream") else [await call]
        assert answers == [b"answer"]
        assert (await call.code(), await call.details()) == (StatusCode.OK, "")
        assert INITIAL in list(await call.initial_metadata())
        assert TRAILING in list(await call.trailing_metadata())
        assert (call.done(), call.cancelled(), call.cancel()) == (True, False, False)
        assert told == [call]


@pytest.mark.parametrize("arity", ["stream_unary", "stream_stream"])
async def test_writing_and_reading(
    service: Service, address: str, entry: ContextEntry, arity: str
) -> None:
    """`write`, `done_writing` and `read` work on a call that was begun without requests."""
    service.answer()
    async with calling("asyncio", address) as caller:
        with use_context(entry):
            call = getattr(caller.channel, arity)(f"/{SERVICE}/{arity}")(timeout=30)
        await call.write(b"1")
        await call.write(b"2")
        await call.done_writing()
        if arity.endswith("stream"):
            assert await call.read() == b"answer"
            assert await call.read() is aio.EOF
        else:
            assert await call == b"answer"
        assert await call.code() is StatusCode.OK


@pytest.mark.parametrize("arity", ARITIES)
@pytest.mark.parametrize("kind", ["blocking", "asyncio"])
async def test_cancel(
    service: Service, address: str, entry: ContextEntry, kind: Kind, arity: str
) -> None:
    """Cancelling reaches the handler, and the call is cancelled."""
    async with calling(kind, address) as caller:
        with use_context(entry):
            call = caller.begin(arity, arity)
        await until_async(service.has_begun, what="the handler is reached")
        call.cancel()
        outcome = await caller.outcome(arity, call)
        assert (outcome.items, outcome.code) == ([], StatusCode.CANCELLED)
        assert call.cancelled()
        await until_async(service.was_cancelled, what="the handler is cancelled")
