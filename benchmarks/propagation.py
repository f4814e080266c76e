"""The cost of context propagation in a unary call, on both sides, asyncio and blocking.

The client (this process) and the server (a process with a core of its own) are of the same kind.
The server has the context cached, so propagation is measured, not the store.

- `metadata`: two metadata entries added to the call by hand, which nobody reads.
- `idle`: the same, with a server interceptor that does nothing: the least cost of any
  interceptor that carries a context.
- `relevo`: a wrapped channel (`aio_context_channel`, `context_channel`) and a server interceptor.
- `interceptors`: client interceptors in place of the wrapped channel.
- `instrumented`: both processes have called `instrument`, and wrap nothing themselves.
- `rider`: `relevo`, with a snapshot of 3 KiB in each call, which the server's cache does not have.
- `otel`: OpenTelemetry's own instrumentation of both sides, without exporting spans.

CPU is that of both processes together.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import grpc
import psutil
from grpc import aio
from opentelemetry.instrumentation import grpc as otel_grpc
from opentelemetry.sdk.trace import TracerProvider
from relevo_client import (
    aio_client_interceptors,
    aio_context_channel,
    client_interceptors,
    context_channel,
    instrument,
    use_context,
)
from support.entries import entry_of

from benchmarks import samples, servers
from benchmarks.figures import Figure, Goal, compare, share_of
from benchmarks.rounds import Contender, Drive, Sample, Schedule, closed_loop, take_turns
from benchmarks.run import Run
from benchmarks.service import METHOD

_otel: Any = otel_grpc  # whose types are only half known

IN_FLIGHT = (1, 20)
GOALS = {
    1: {
        "relevo": Goal("p50", at_most=1.05),
        "interceptors": Goal("p50", at_most=1.12),
        "rider": Goal("p50", at_most=1.10),
    },
    20: {"relevo": Goal("cpu", at_most=1.07)},
}
BLOCKING_GOALS = {
    "relevo": Goal("p50", at_most=1.08),
    "interceptors": Goal("p50", at_most=1.15),
}
_OTELS_SHARE = 0.2
_NO_MORE = Goal("p50", at_most=1.02)
"""The same calls a second time differ by as much."""
_SHORTER = 2
"""The factor by which turns are shorter here, and more: the differences are a few per cent, and the
speed of a machine changes by more from second to second."""
_ENTRY = entry_of("someone", revision=1_750_000_000_000 << 20)
_ENTRIES = (("context-key", _ENTRY.ref.key.text), ("context-revision", str(_ENTRY.ref.revision)))


async def measure(run: Run) -> list[Figure]:
    """The figures of each contender against a bare call, and Relevo's against OpenTelemetry's."""
    schedule = Schedule(
        run.schedule.rounds * _SHORTER, run.schedule.seconds / _SHORTER, run.schedule.say
    )
    with use_context(_ENTRY):
        return [*await _asyncio(run, schedule), *await _blocking(run, schedule)]


async def _asyncio(run: Run, schedule: Schedule) -> list[Figure]:
    figures: list[Figure] = []
    otel = _otel.aio_client_interceptors(tracer_provider=TracerProvider())
    async with AsyncExitStack() as stack:
        contenders = [
            await _contender(run, stack, "bare"),
            await _contender(run, stack, "metadata", metadata=_ENTRIES),
            await _contender(run, stack, "idle", metadata=_ENTRIES),
            await _contender(run, stack, "relevo", channel=aio_context_channel),
            await _contender(run, stack, "interceptors", interceptors=aio_client_interceptors()),
            _riding(await _contender(run, stack, "rider", channel=aio_context_channel)),
            await _contender(run, stack, "otel", interceptors=otel),
        ]
        _instrument(stack)
        contenders.append(await _contender(run, stack, "instrumented"))
        for in_flight in IN_FLIGHT:
            taken = await take_turns(
                contenders, in_flight=in_flight, schedule=schedule, what="Call"
            )
            goals = GOALS[in_flight]
            figures += compare("Call", taken, baseline="bare", in_flight=in_flight, goals=goals)
            figures.append(_share(taken, in_flight, goals["relevo"].quantity))
            figures += _against_explicit("Call", taken, in_flight)
    return figures


def _instrument(stack: AsyncExitStack) -> None:
    """Instrument this process: its next channel is no other contender's."""
    stack.callback(instrument(kinds={"grpc.client"}).undo)


def _against_explicit(
    what: str, taken: Mapping[str, Sequence[Sample]], in_flight: int
) -> list[Figure]:
    """The cost of instrumentation over a wrapped channel and a server's own interceptor."""
    both = {name: taken[name] for name in ("relevo", "instrumented")}
    goals = {"instrumented": _NO_MORE}
    return compare(f"{what}, explicit", both, baseline="relevo", in_flight=in_flight, goals=goals)


def _share(taken: Mapping[str, Sequence[Sample]], in_flight: int, quantity: str) -> Figure:
    return share_of(
        f"Call/relevo/{in_flight}/of otel's",
        quantity,
        [taken[name] for name in ("relevo", "otel", "bare")],
        Goal(quantity, at_most=_OTELS_SHARE),
    )


async def _blocking(run: Run, schedule: Schedule) -> list[Figure]:
    async with AsyncExitStack() as stack:
        open_contender = partial(_blocking_contender, run, stack)
        contenders = [
            open_contender("bare"),
            open_contender("metadata", metadata=_ENTRIES),
            open_contender("relevo", channel=context_channel),
            open_contender(
                "interceptors",
                channel=lambda inner: grpc.intercept_channel(inner, *client_interceptors()),
            ),
        ]
        _instrument(stack)
        contenders.append(open_contender("instrumented"))
        taken = await take_turns(contenders, in_flight=1, schedule=schedule, what="Blocking call")
    figures = compare("Blocking call", taken, baseline="bare", in_flight=1, goals=BLOCKING_GOALS)
    return [*figures, *_against_explicit("Blocking call", taken, 1)]


async def _contender(
    run: Run,
    stack: AsyncExitStack,
    name: str,
    *,
    interceptors: Sequence[Any] = (),
    channel: Callable[[aio.Channel], aio.Channel] | None = None,
    metadata: Any = None,
) -> Contender:
    server = stack.enter_context(servers.service(_side(name), run.cores))
    inner = aio.insecure_channel(server.address, interceptors=interceptors)
    opened = await stack.enter_async_context(channel(inner) if channel else inner)
    return Contender(name, _drive(opened, metadata), _both(server))


def _riding(contender: Contender) -> Contender:
    """The contender, whose calls carry a snapshot."""
    snapshot = samples.snapshot()

    async def drive(in_flight: int, seconds: float) -> tuple[list[float], float]:
        with use_context(snapshot):
            return await contender.drive(in_flight, seconds)

    return replace(contender, drive=drive)


def _blocking_contender(
    run: Run,
    stack: AsyncExitStack,
    name: str,
    *,
    channel: Callable[[grpc.Channel], grpc.Channel] | None = None,
    metadata: Any = None,
) -> Contender:
    server = stack.enter_context(servers.blocking_service(_side(name), run.cores))
    inner = grpc.insecure_channel(server.address)
    opened = stack.enter_context(channel(inner) if channel else inner)
    return Contender(name, _drive_in_thread(opened, metadata), _both(server))


def _side(name: str) -> str:
    """The parts of the server, by the contender's name."""
    return {"metadata": "bare", "interceptors": "relevo"}.get(name, name)


def _drive(channel: Any, metadata: Any) -> Drive:
    call = channel.unary_unary(METHOD)

    def start() -> Awaitable[bytes]:
        answer: Awaitable[bytes] = call(b"question", metadata=metadata)
        return answer

    return closed_loop(start)


def _drive_in_thread(channel: Any, metadata: Any) -> Drive:
    """Blocking calls, one after another, in a thread in which the same context is current."""
    call = channel.unary_unary(METHOD)

    def calls(seconds: float) -> tuple[list[float], float]:
        latencies: list[float] = []
        start = time.perf_counter()
        while (call_start := time.perf_counter()) - start < seconds:
            call(b"question", metadata=metadata)
            latencies.append(time.perf_counter() - call_start)
        return latencies, time.perf_counter() - start

    async def drive(_: int, seconds: float) -> tuple[list[float], float]:
        return await asyncio.to_thread(calls, seconds)

    return drive


def _both(server: servers.Server) -> Callable[[], float]:
    own = psutil.Process()

    def used() -> float:
        times = own.cpu_times()
        return times.user + times.system + server.cpu()

    return used
