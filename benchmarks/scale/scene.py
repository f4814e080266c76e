"""The common parts of one run of benchmarks: Redis, cores, sizes, and servers under load."""

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from relevo.v1.context_pb2 import ContextKey
from relevo.v1.store_pb2 import PutRequest
from support.servers.process import RelevoProcess, relevo_serve

from benchmarks import samples
from benchmarks.calls import path
from benchmarks.cores import Cores
from benchmarks.scale.generator import REQUEST_ID, Target
from benchmarks.scale.generator import Generator as Load
from benchmarks.scale.rows import Row

ENVIRONMENT = {
    # As docs/operations.md advises: otherwise glibc keeps ever more memory for gRPC's threads.
    "MALLOC_ARENA_MAX": "1",
    # One tenant has all streams of some benchmarks.
    "RELEVO_QUOTAS__DEFAULT__WATCH_STREAMS": "unlimited",
    "RELEVO_QUOTAS__DEFAULT__WRITES": "unlimited",
}
STREAMS_OF_A_CONNECTION = 500
"""Streams on each of few connections."""
_TOGETHER, _PACE = 250, 1000
"""Streams that are opened together, and their number in a second."""
_SLOWEST, _SETTLING = 200, 15.0
"""The streams that a server has to take a second, at least, and the seconds it has beyond that."""
_FILLING = 1000.0
"""Entries that are put a second before a measurement."""
_LOOK = 0.1


@dataclass(frozen=True)
class Scene:
    """One run of the benchmarks."""

    cores: Cores
    redis: str
    """The URL of the Redis server."""
    sizes: Sequence[int]
    """Numbers of streams, in rising order."""
    part: float
    """The length of the measurements as a part of the usual one: 1, or less for a quick look."""
    soak: float
    """Seconds of the soak."""
    say: Callable[[str], None]
    """Shows what happens now."""

    @property
    def most(self) -> int:
        """The largest number of streams."""
        return self.sizes[-1]

    def new_store(self) -> Sequence[str]:
        """The flags of a server for a store that nobody has used."""
        return ("--store", self.redis, "--store-prefix", f"scale-{uuid.uuid4().hex}")

    @contextmanager
    def server(self, *flags: str) -> Generator[RelevoProcess, None, None]:
        """Run `relevo serve` on the server's core, by default on a new store."""
        store = () if "--store" in flags else self.new_store()
        with ExitStack() as stack:
            with self.cores.of_server():
                serving = relevo_serve(*store, *flags, environment=ENVIRONMENT, fresh=True)
                server = stack.enter_context(serving)
            yield server

    async def settle(self, load: Load, what: str, *, within: float, lost: int = 0) -> float | None:
        """Wait until every stream is current, and at least `lost` have ended before.

        Returns the seconds, None if they were too few.
        """
        begun = time.monotonic()
        total: int = (await load.state())["streams"]
        if await self.are_current(load, what, total, within=within, lost=lost):
            return time.monotonic() - begun
        return None

    async def are_current(
        self, load: Load, what: str, number: int, *, within: float, lost: int = 0
    ) -> bool:
        """Wait until so many streams are current. Returns whether they are in time."""
        end = time.monotonic() + within
        while True:
            state: Any = await load.state()
            self.say(f"{what}: {state['current']:,} of {state['streams']:,} are current")
            if state["current"] >= number and sum(state["endings"].values()) >= lost:
                return True
            if time.monotonic() > end:
                return False
            await asyncio.sleep(_LOOK)


async def grow(
    scene: Scene,
    load: Load,
    what: str,
    addresses: Sequence[str],
    keys: Sequence[ContextKey],
    streams: int,
    connections: int,
) -> bool:
    """Open streams until there are so many. Returns whether all have become current in time.

    They are opened as fast as the server takes them: some more once nearly all are current. What
    too many at once do to a server is what the herd shows.
    """
    serialized = [key.SerializeToString() for key in keys]
    end = time.monotonic() + streams / _SLOWEST + _SETTLING
    opened: int = (await load.state())["streams"]
    is_in_time = True
    while opened < streams:
        # All the others at once if the server is too slow: it has to show what so many cost.
        opened = min(opened + _TOGETHER, streams) if is_in_time else streams
        await load.open(
            addresses,
            serialized,
            streams=opened,
            connections=min(connections, opened),
            pace=_PACE,
        )
        most = opened - _TOGETHER // 10
        left = end - time.monotonic()
        is_in_time = await scene.are_current(load, what, most, within=left)
    return await scene.settle(load, what, within=end - time.monotonic()) is not None


async def fill(load: Load, address: str, keys: Sequence[ContextKey]) -> None:
    """Put an entry under each key."""
    target = Target(address, path("Put"), REQUEST_ID)
    seconds = len(keys) / _FILLING
    written = await load.write(target, puts(keys), rate=_FILLING, seconds=seconds)
    if written["failed"]:
        raise RuntimeError(f"{written['failed']} Puts have failed")


def keys_of(number: int, tenants: int) -> list[ContextKey]:
    """Keys of this many tenants, in turn."""
    return [
        ContextKey(scope="conversation", tenant_id=f"tenant-{i % tenants:04}", id=f"c-{i:06}")
        for i in range(number)
    ]


def puts(keys: Sequence[ContextKey]) -> list[bytes]:
    """A Put of each key, of the samples' context."""
    context = samples.context()
    return [PutRequest(key=key, context=context).SerializeToString() for key in keys]


Bench = Callable[[Scene], AsyncGenerator[Row, None]]
"""A benchmark, which gives its rows as they are measured."""
