"""A context in the near cache, against the alternatives that a service could use.

- `near cache`: `AsyncContextClient.peek`, which every handler's call uses.
- `GET`: redis-py's asyncio GET, `json.loads`, and a pydantic model: one JSON blob for each
  conversation.
- `client-side`: a hit in redis-py's blocking client-side cache, without parsing.

All run in this process. A turn of each is a thousand calls, with as many contexts as in
the other benchmarks.
"""

import json
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import cycle
from statistics import median
from typing import Any

import redis
from google.protobuf.json_format import MessageToJson
from pydantic import BaseModel
from redis import asyncio as async_redis
from redis import connection
from redis.cache import CacheConfig
from relevo.v1.store_pb2 import PutRequest
from relevo_client import AsyncContextClient, CacheOptions, ContextKey
from support.servers.serving import stub_of
from support.waiting import until_async

from benchmarks import samples, servers
from benchmarks.figures import Figure, Goal, spread
from benchmarks.run import Run

CALLS = 1000
_connection: Any = connection  # whose types are only half known
_TIMES_FASTER = {"GET": 40.0, "client-side": 10.0}
_MICROSECONDS = 1.0


class Blob(BaseModel):
    """The context as a service without Relevo would define it."""

    context_id: str
    agent_id: str
    tenant_tier: str
    conversation_id: str
    session_id: str
    user_id: str
    llm_config: dict[str, Any]
    embedding_config: dict[str, Any]
    rag_config: dict[str, Any]
    agent_config: dict[str, Any]
    rate_limits: dict[str, Any]


Turn = Callable[[], Awaitable[float]]
"""Makes the calls of a turn, and returns the seconds per call."""


async def measure(run: Run) -> list[Figure]:
    """The microseconds per call of each alternative, and the near cache's speed-up."""
    async with AsyncExitStack() as stack:
        turns: dict[str, Turn] = {
            "near cache": await stack.enter_async_context(_near_cache(run)),
            "GET": await stack.enter_async_context(_get(run)),
            "client-side": await stack.enter_async_context(_client_side(run)),
        }
        taken: dict[str, list[float]] = {name: [] for name in turns}
        for i in range(run.schedule.rounds):
            run.schedule.say(f"Resolve, round {i + 1} of {run.schedule.rounds}")
            for name, turn in turns.items():
                taken[name].append(await turn() * 1e6)
    own = taken["near cache"]
    goal = Goal("time", at_most=_MICROSECONDS)
    figures = [_figure("Resolve/near cache", own, ratio=median(own), goal=goal)]
    for name in taken.keys() & _TIMES_FASTER.keys():
        at_least = _TIMES_FASTER[name]
        ratio = median(other / mine for other, mine in zip(taken[name], own, strict=True))
        goal = Goal("time", at_least=at_least)
        figures.append(_figure(f"Resolve/{name}", taken[name], own, ratio=ratio, goal=goal))
    return figures


@asynccontextmanager
async def _near_cache(run: Run) -> AsyncGenerator[Turn, None]:
    with servers.relevo(run.redis, run.prefix, run.cores) as server:
        async with (
            stub_of(server.address) as stub,
            AsyncContextClient(server.address, timeout=10, cache=CacheOptions()) as client,
        ):
            keys: list[ContextKey] = []
            for message in samples.entry_keys():
                await stub.Put(PutRequest(key=message, context=samples.context()))
                keys.append(ContextKey.from_message(message))

            async def are_there() -> bool:
                # Peek at all of them, so that all are subscribed to.
                return None not in [client.peek(key) for key in keys]

            await until_async(are_there)
            refs = cycle([(await client.resolve(key)).ref for key in keys])

            async def turn() -> float:
                begin = time.perf_counter()
                for _ in range(CALLS):
                    if client.peek(next(refs)) is None:
                        raise RuntimeError("the cache lost a context")
                return (time.perf_counter() - begin) / CALLS

            yield turn


@asynccontextmanager
async def _get(run: Run) -> AsyncGenerator[Turn, None]:
    library: Any = async_redis.Redis  # whose types are only half known
    client = library.from_url(run.redis)
    names = cycle(_fill(run))

    async def turn() -> float:
        begin = time.perf_counter()
        for _ in range(CALLS):
            Blob.model_validate(json.loads(await client.get(next(names))))
        return (time.perf_counter() - begin) / CALLS

    try:
        yield turn
    finally:
        await client.aclose()


@asynccontextmanager
async def _client_side(run: Run) -> AsyncGenerator[Turn, None]:
    library: Any = redis.Redis
    # redis-py requires 7.4 because of other products; Redis supports client-side caching since 6.0.
    _connection.CacheProxyConnection.MIN_ALLOWED_VERSION = "6.0.0"
    client = library.from_url(run.redis, protocol=3, cache_config=CacheConfig())
    names = cycle(_fill(run))
    for _ in range(samples.ENTRIES):
        client.get(next(names))
    if client.get_cache().size < samples.ENTRIES:
        raise RuntimeError("redis-py's cache does not keep what it reads")

    async def turn() -> float:
        begin = time.perf_counter()
        for _ in range(CALLS):
            client.get(next(names))
        return (time.perf_counter() - begin) / CALLS

    try:
        yield turn
    finally:
        client.close()


def _fill(run: Run) -> list[str]:
    blob = MessageToJson(samples.context(), preserving_proto_field_name=True)
    names = [f"{run.prefix}:blob:{i}" for i in range(samples.ENTRIES)]
    for name in names:
        run.redis_client("SET", name, blob)
    return names


def _figure(
    name: str,
    values: list[float],
    baseline: list[float] | None = None,
    *,
    ratio: float,
    goal: Goal,
) -> Figure:
    return Figure(
        name=name,
        value=median(values),
        unit="µs",
        spread=spread(values),
        baseline=None if baseline is None else median(baseline),
        ratio=ratio,
        goal=goal,
    )
