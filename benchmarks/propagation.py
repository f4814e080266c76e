"""The cost of context propagation in a unary call, on both sides.

The client (this process) and the server (a process with a core of its own) use grpc.aio.
The server has the context cached, so propagation is measured, not the store.

- `metadata`: two metadata entries added to the call by hand, which nobody reads.
- `idle`: the same, with a server interceptor that does nothing: the least cost of any
  interceptor that carries a context.
- `relevo`: `aio_context_channel` and `aio_server_interceptor`.
- `interceptors`: `aio_client_interceptors` in place of the channel.
- `otel`: OpenTelemetry's own instrumentation of both sides, without exporting spans.

CPU is that of both processes together.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

import psutil
from grpc import aio
from opentelemetry.instrumentation import grpc as otel_grpc
from opentelemetry.sdk.trace import TracerProvider
from relevo_client import aio_client_interceptors, aio_context_channel, use_context
from support.entries import entry_of

from benchmarks import servers
from benchmarks.figures import Figure, Goal, compare, share_of
from benchmarks.rounds import Contender, Drive, Schedule, closed_loop, take_turns
from benchmarks.run import Run
from benchmarks.service import METHOD

_otel: Any = otel_grpc  # whose types are only half known

IN_FLIGHT = (1, 20)
GOALS = {
    1: {"relevo": Goal("p50", at_most=1.05)},
    20: {"relevo": Goal("cpu", at_most=1.15)},
}
_OTELS_SHARE = 0.2
_TURNS = 2
"""The factor by which a turn is longer here, because the differences are a few per cent."""
_ENTRY = entry_of("someone", revision=1_750_000_000_000 << 20)
_ENTRIES = (("context-key", _ENTRY.ref.key.text), ("context-revision", str(_ENTRY.ref.revision)))


async def measure(run: Run) -> list[Figure]:
    """The figures of each contender against a bare call, and Relevo's against OpenTelemetry's."""
    figures: list[Figure] = []
    schedule = Schedule(run.schedule.rounds, run.schedule.seconds * _TURNS, run.schedule.say)
    async with AsyncExitStack() as stack:
        contenders = [
            await _contender(run, stack, "bare"),
            await _contender(run, stack, "metadata", metadata=_ENTRIES),
            await _contender(run, stack, "idle", metadata=_ENTRIES),
            await _contender(run, stack, "relevo", channel=aio_context_channel),
            await _contender(run, stack, "interceptors", interceptors=aio_client_interceptors()),
            await _contender(
                run,
                stack,
                "otel",
                interceptors=_otel.aio_client_interceptors(tracer_provider=TracerProvider()),
            ),
        ]
        with use_context(_ENTRY):
            for in_flight in IN_FLIGHT:
                taken = await take_turns(
                    contenders, in_flight=in_flight, schedule=schedule, what="Call"
                )
                figures += compare(
                    "Call", taken, baseline="bare", in_flight=in_flight, goals=GOALS[in_flight]
                )
                quantity = GOALS[in_flight]["relevo"].quantity
                figures.append(
                    share_of(
                        f"Call/relevo/{in_flight}/of otel's",
                        quantity,
                        [taken[name] for name in ("relevo", "otel", "bare")],
                        Goal(quantity, at_most=_OTELS_SHARE),
                    )
                )
    return figures


async def _contender(
    run: Run,
    stack: AsyncExitStack,
    name: str,
    *,
    interceptors: Sequence[Any] = (),
    channel: Callable[[aio.Channel], aio.Channel] | None = None,
    metadata: Any = None,
) -> Contender:
    side = {"metadata": "bare", "interceptors": "relevo"}.get(name, name)
    server = stack.enter_context(servers.service(side, run.cores))
    inner = aio.insecure_channel(server.address, interceptors=interceptors)
    opened = await stack.enter_async_context(channel(inner) if channel else inner)
    return Contender(name, _drive(opened, metadata), _both(server))


def _drive(channel: Any, metadata: Any) -> Drive:
    call = channel.unary_unary(METHOD)

    def start() -> Awaitable[bytes]:
        answer: Awaitable[bytes] = call(b"question", metadata=metadata)
        return answer

    return closed_loop(start)


def _both(server: servers.Server) -> Callable[[], float]:
    own = psutil.Process()

    def used() -> float:
        times = own.cpu_times()
        return times.user + times.system + server.cpu()

    return used
