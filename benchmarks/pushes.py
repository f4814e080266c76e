"""The delay of a Put to a hundred subscribed caches, against bare Redis pub/sub.

A third contender, a grpc.aio server that forwards a message to a hundred streams, shows
the delay of gRPC itself.

Delays count from the writer's acknowledgement of a Put, or of a PUBLISH of the same size;
a delivery before it counts as zero. The subscribers are spread over four processes, each
with a connection of its own. Those of one contender are closed during another's turn, so
that none takes CPU in another's time. One message is in flight at a time.

A cache has a value when a call would get it (see subscriber.py).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from statistics import quantiles
from typing import Any

from grpc import aio
from redis import asyncio as redis
from relevo.v1.store_pb2 import PutRequest
from relevo_client import ContextKey
from support.clients.calls import Stub
from support.servers.serving import stub_of

from benchmarks import samples, servers
from benchmarks.broadcast import SERVICE
from benchmarks.figures import Figure, Goal, paired
from benchmarks.run import Run
from benchmarks.subscriber import DIGITS
from benchmarks.workers import Worker, call_all, workers

PROCESSES = 4
SUBSCRIBERS = 100
MESSAGES = 40
_WARMING = 5
_PAUSE = 0.01
_TIMES_AS_LONG = 3.0

Send = Callable[[], Awaitable[int]]
"""Sends the next message, and returns its number once it is acknowledged."""


@dataclass(frozen=True)
class Delays:
    """Milliseconds from acknowledgements until each subscriber, and until all, had the message."""

    each: Sequence[float]
    all: Sequence[float]


async def measure(run: Run) -> list[Figure]:
    """The delays of all contenders."""
    key = ContextKey("conversation", "acme", "one-for-all")
    channel = f"{run.prefix}:channel"
    library: Any = redis.Redis  # whose types are only half known
    taken: dict[str, list[Delays]] = {"caches": [], "streams": [], "pubsub": []}
    with (
        servers.relevo(run.redis, run.prefix, run.cores) as server,
        servers.broadcast(run.cores) as broadcast,
    ):
        async with (
            stub_of(server.address) as stub,
            aio.insecure_channel(broadcast.address) as to_streams,
            library.from_url(run.redis) as client,
            workers("benchmarks.subscriber", PROCESSES) as subscribers,
        ):
            put = _putting(stub, key)
            publish, send = _publishing(client, channel), _sending(to_streams)
            await put()  # creates the entry to subscribe to
            turns: dict[str, Callable[[], Awaitable[Delays]]] = {
                "caches": lambda: _turn(subscribers, put, "caches", server.address, key.text),
                "streams": lambda: _turn(subscribers, send, "streams", broadcast.address),
                "pubsub": lambda: _turn(subscribers, publish, "pubsub", run.redis, channel),
            }
            for i in range(run.schedule.rounds):
                run.schedule.say(f"Push, round {i + 1} of {run.schedule.rounds}")
                order = list(turns.items())
                first = i % len(order)
                for name, turn in (*order[first:], *order[:first]):
                    taken[name].append(await turn())
    return [
        figure
        for side in ("caches", "streams")
        for of in ("each", "all")
        for figure in _figures(of, side, taken)
    ]


def _putting(stub: Stub, key: ContextKey) -> Send:
    request = PutRequest(key=key.to_message(), context=samples.context())

    async def send() -> int:
        return (await stub.Put(request)).revision

    return send


def _publishing(client: Any, channel: str) -> Send:
    body = samples.context().SerializeToString()
    number = 0

    async def send() -> int:
        nonlocal number
        number += 1
        if await client.publish(channel, b"%0*d" % (DIGITS, number) + body) != SUBSCRIBERS:
            raise RuntimeError("a subscriber is not there")
        return number

    return send


def _sending(channel: aio.Channel) -> Send:
    body = samples.context().SerializeToString()
    method: aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f"/{SERVICE}/Publish")
    number = 0

    async def send() -> int:
        nonlocal number
        number += 1
        if await method(b"%0*d" % (DIGITS, number) + body) != b"%d" % SUBSCRIBERS:
            raise RuntimeError("a stream is not there")
        return number

    return send


async def _turn(subscribers: Sequence[Worker], send: Send, side: str, *target: str) -> Delays:
    await call_all(subscribers, side, SUBSCRIBERS // PROCESSES, *target)
    each: list[float] = []
    last: list[float] = []
    for i in range(_WARMING + MESSAGES):
        delays = await _delays(subscribers, send)
        if i >= _WARMING:
            each += delays
            last.append(max(delays))
    await call_all(subscribers, "close")
    return Delays(each, last)


async def _delays(subscribers: Sequence[Worker], send: Send) -> list[float]:
    """Send a message, and return its delay to each subscriber in milliseconds."""
    waiting = asyncio.gather(*(subscriber.call("next") for subscriber in subscribers))
    await asyncio.sleep(_PAUSE)  # by then all of them wait, and nothing else is in flight
    number = await send()
    acknowledged = time.monotonic_ns()
    deliveries = await waiting
    if {of for of, _ in deliveries} != {number}:
        raise RuntimeError("the subscribers had another message")
    return [max(0, at - acknowledged) / 1e6 for _, times in deliveries for at in times]


def _figures(of: str, side: str, taken: dict[str, list[Delays]]) -> list[Figure]:
    figures: list[Figure] = []
    for name, place in {"p50": 49, "p99": 98}.items():
        values, baseline = (
            [quantiles(getattr(delays, of), n=100, method="inclusive")[place] for delays in turns]
            for turns in (taken[side], taken["pubsub"])
        )
        has_goal = (side, of, name) == ("caches", "each", "p99")
        goal = Goal(name, at_most=_TIMES_AS_LONG) if has_goal else None
        figures.append(paired(f"Push/{side}/{of}/{name}", "ms", values, baseline, goal))
    return figures
