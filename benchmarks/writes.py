"""The cost of writing an entry and its event, against a plain SET of the same bytes.

All contenders use one Redis. This process sends `SET` and the two writes through the storage
interface itself, over the server's own kind of connection, and shares a core with Redis: their
throughput is that of client and Redis together. `redis-py` is the same SET as most programs
would send it. `Put` goes through a server with a core of its own. CPU is that of Redis alone.
"""

import uuid
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from itertools import cycle
from typing import Any

from redis import asyncio as redis
from relevo_server.keys import Key
from relevo_server.storage import open_storage
from relevo_server.storage.interface import Once, Write
from relevo_server.storage.redis.connection import Server
from relevo_server.storage.redis.pool import Pool

from benchmarks import samples, servers
from benchmarks.calls import path
from benchmarks.figures import Figure, compare
from benchmarks.http2 import connected
from benchmarks.rounds import Contender, Drive, closed_loop, take_turns
from benchmarks.run import Run

IN_FLIGHT = (1, 20)
_TTL_MS = 1_800_000
_PARTITIONS = 64


async def measure(run: Run) -> list[Figure]:
    """The figures of a write with its event, with and without a request_id, and of a Put."""
    figures: list[Figure] = []
    async with AsyncExitStack() as stack:
        drives: dict[str, Drive] = {
            "SET": _set(run, stack),
            "redis-py": _set_by_redis_py(run, stack),
            "event": _write(run, stack, with_request=False),
            "event+id": _write(run, stack, with_request=True),
            "Put": await _put(run, stack),
        }
        cpu = servers.redis_cpu(run.redis_client)
        for in_flight in IN_FLIGHT:
            taken = await take_turns(
                [Contender(name, drive, cpu) for name, drive in drives.items()],
                in_flight=in_flight,
                schedule=run.schedule,
                what="Write",
            )
            figures += compare("Write", taken, baseline="SET", in_flight=in_flight)
    return figures


def _set(run: Run, stack: AsyncExitStack) -> Drive:
    pool = Pool(Server(run.redis).open, timeout=10, max_connections=max(IN_FLIGHT))
    stack.push_async_callback(pool.aclose)
    return _sets(run, pool.execute_command)


def _set_by_redis_py(run: Run, stack: AsyncExitStack) -> Drive:
    library: Any = redis.Redis  # whose types are only half known
    client = library.from_url(run.redis)
    stack.push_async_callback(client.aclose)
    return _sets(run, client.execute_command)


def _sets(run: Run, send: Callable[..., Awaitable[object]]) -> Drive:
    names = cycle([f"{run.prefix}:plain:{key}" for key in _keys()])
    value = samples.context().SerializeToString()
    return closed_loop(lambda: send("SET", next(names), value))


def _write(run: Run, stack: AsyncExitStack, *, with_request: bool) -> Drive:
    """Write through the storage, with or without a request_id and its record."""
    storage = open_storage(run.redis, partitions=_PARTITIONS, prefix=run.prefix)
    stack.push_async_callback(storage.close)
    keys = cycle(_keys())
    value = samples.context().SerializeToString()

    def write() -> Write:
        once = Once(uuid.uuid4().hex, bytes(32)) if with_request else None
        return Write(next(keys), value, _TTL_MS, once=once)

    return closed_loop(lambda: storage.write(write()))


async def _put(run: Run, stack: AsyncExitStack) -> Drive:
    server = stack.enter_context(servers.relevo(run.redis, run.prefix, run.cores))
    client = await stack.enter_async_context(connected(server.address))
    return partial(client.load, path("Put"), samples.put_requests())


def _keys() -> list[Key]:
    return [Key(key.scope, key.tenant_id, key.id) for key in samples.entry_keys()]
