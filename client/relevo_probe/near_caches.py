"""The probe's own near caches, each with what reads it.

For each server there are an asyncio client and a blocking one, and a forgetful one, which has room
for one tenant only. A newcomer is opened again and again, on one server after the other.

Now and then the event loop of the asyncio clients stands still for longer than `max_staleness`, as
a process does that is paused. When it goes on it has received nothing for so long, and looks at
once: no near cache may serve then what has changed meanwhile.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from itertools import cycle

from relevo_client import AsyncContextClient, ContextRef

from relevo_probe.attention import Attention
from relevo_probe.canaries import Canaries, room_for
from relevo_probe.looking import NearCacheReader, StoreRead
from relevo_probe.record import Record

_OFTEN = 0.0005
"""Seconds between two looks at a tenant that is written to, by a thread."""
_UNSEEN = 0.01
"""Seconds between two looks at a tenant whose last writes a near cache has not shown yet."""
_IDLE = 0.25
"""Seconds between two looks whether there is something to look at."""
_SWEEP = 1.0
"""Seconds between two looks at all tenants."""
_VISIT = 4.0
"""Seconds for which a newcomer stays."""
_ASKED_TOGETHER = 2
"""Reads of one composition from one server at the same time."""
_LOOKS = 6
"""Looks of a forgetful near cache at a tenant before it forgets it."""
_AWAKE = 8.0
"""Seconds from one pause of the event loop to the next."""
_OVERSLEPT = 0.25
"""Seconds by which such a pause is longer than `max_staleness`."""


class Looks:
    """What one reader looks at, and when."""

    def __init__(
        self,
        reader: NearCacheReader,
        canaries: Sequence[Canaries],
        record: Record,
        attention: Attention,
    ) -> None:
        self._reader = reader
        self._canaries = {each.tenant_id: each for each in canaries}
        self._record = record
        self._attention = attention
        self._swept = 0.0

    def look(self) -> tuple[float, list[Canaries]]:
        """Look at what is due. Returns the pause after it, and the tenants without an answer."""
        written = self._attention.tenants()
        due = written | self._record.unseen(self._reader.name)
        pause = _OFTEN if written else _UNSEEN if due else _IDLE
        now = time.monotonic()
        if now - self._swept >= _SWEEP:
            self._swept, due = now, set(self._canaries)
        missed = [tenant for tenant in due if not self._reader.look(self._canaries[tenant])]
        return pause, [self._canaries[tenant] for tenant in missed]

    def look_at_all(self) -> None:
        """Look at all tenants, with a fence and without."""
        for each in self._canaries.values():
            for _ in range(2):
                self._reader.look(each)

    def run(self) -> None:
        """Look until the run is over, in a thread."""
        while not self._attention.is_over:
            pause, _ = self.look()
            if pause == _OFTEN:
                time.sleep(pause)
            else:
                self._attention.wait(pause)


class AsyncNearCaches:
    """The asyncio near caches, which share one event loop.

    `connect` makes a client of the server with a number, whose near cache has room for so many
    entries. `servers` is how many servers there are.
    """

    def __init__(
        self,
        connect: Callable[[int, int], AsyncContextClient],
        servers: int,
        canaries: Sequence[Canaries],
        record: Record,
        attention: Attention,
        max_staleness: float,
    ) -> None:
        self._connect = connect
        self._servers = servers
        self._canaries = canaries
        self._room = room_for(canaries)
        self._record = record
        self._attention = attention
        self._max_staleness = max_staleness
        self._readers: dict[str, Looks] = {}
        self._woken = asyncio.Event()

    async def run(self) -> None:
        """Read until the run is over."""
        loop = asyncio.get_running_loop()
        self._attention.wake = lambda: loop.call_soon_threadsafe(self._woken.set)
        try:
            async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
                for server in range(self._servers):
                    client = await stack.enter_async_context(self._connect(server, self._room))
                    group.create_task(self._follow(f"asyncio {server}", client))
                    for _ in range(_ASKED_TOGETHER):
                        group.create_task(self._ask(client))
                    small = await stack.enter_async_context(
                        self._connect(server, room_for(self._canaries[:1]))
                    )
                    group.create_task(self._forgetful(small, f"forgetful {server}"))
                group.create_task(self._newcomers())
                group.create_task(self._pauses())
        finally:
            self._attention.wake = lambda: None

    async def _follow(self, name: str, client: AsyncContextClient, until: float = 0.0) -> None:
        """Read one near cache until a time, or until the run is over."""
        reader = NearCacheReader(name, client, self._record)
        looks = Looks(reader, self._canaries, self._record, self._attention)
        self._record.add_near_cache(name)
        self._readers[name] = looks
        try:
            while not (self._attention.is_over or 0 < until < time.monotonic()):
                pause, missed = looks.look()
                if pause == _OFTEN:
                    await asyncio.sleep(0)  # the stream's messages are seen one by one
                    continue
                for each in missed[:1]:  # as a service would
                    await self._resolve(client, each)
                await self._pause(pause)
        finally:
            del self._readers[name]
            self._record.remove_near_cache(name)

    async def _resolve(self, client: AsyncContextClient, canaries: Canaries) -> None:
        """Ask a server, which may answer from its memory."""
        ref = ContextRef(canaries.head, self._record.fence(canaries.tenant_id))
        with StoreRead(self._record, ref, "server") as read:
            read.entry = await client.resolve(ref)

    async def _newcomers(self) -> None:
        number = 0
        while not self._attention.is_over:
            async with self._connect(number % self._servers, self._room) as client:
                await self._follow(f"newcomer {number}", client, time.monotonic() + _VISIT)
            number += 1

    async def _ask(self, client: AsyncContextClient) -> None:
        """Read compositions from the store while they are written."""
        while not self._attention.is_over:
            for canaries in self._written():
                with StoreRead(self._record, ContextRef(canaries.head), "store") as read:
                    read.entry = await client.resolve(read.ref, fresh=True)
            await self._pause(_IDLE)

    async def _forgetful(self, client: AsyncContextClient, name: str) -> None:
        """Look at what is written with a near cache that has no room for a second tenant.

        It asks for the same keys again and again, and the answers are of different moments.
        """
        reader = NearCacheReader(name, client, self._record)
        others = cycle(self._canaries)
        while not self._attention.is_over:
            for canaries in self._written():
                reader.look(canaries)
                await self._resolve(client, canaries)
                for _ in range(_LOOKS):
                    await asyncio.sleep(_OFTEN)
                    reader.look(canaries)
                reader.look(next(others))
            await self._pause(_IDLE)

    def _written(self) -> list[Canaries]:
        written = self._attention.tenants(just_now=False)
        return [each for each in self._canaries if each.tenant_id in written]

    async def _pauses(self) -> None:
        """Let the event loop stand still now and then, and look before it goes on."""
        while not self._attention.is_over:
            end = time.monotonic() + _AWAKE
            while time.monotonic() < end and not self._attention.is_over:
                await self._pause(end - time.monotonic())
            # With the next round: what is written now is too old to be served at the end.
            await self._pause(_AWAKE)
            if not self._attention.is_over:
                time.sleep(self._max_staleness + _OVERSLEPT)  # noqa: ASYNC251 - that is the point
                for name, looks in list(self._readers.items()):
                    looks.look_at_all()
                    self._record.forget_unseen(name)

    async def _pause(self, seconds: float) -> None:
        """Wait for the next round, or for the end of the run."""
        self._woken.clear()
        if not self._attention.is_over:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._woken.wait()
