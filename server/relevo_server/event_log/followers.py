"""The followers of a server: one for each partition's log that is in use."""

import asyncio
from collections.abc import Sequence
from contextvars import Context
from time import monotonic

from relevo_server.event_log.copies import Copies
from relevo_server.event_log.follower import Follower
from relevo_server.keys import Key
from relevo_server.settings import Settings
from relevo_server.storage.interface import Storage
from relevo_server.telemetry.counts import Counts
from relevo_server.wire.entries import Entries


class Followers:
    """The followers by partition. The events that they read keep `copies` current."""

    def __init__(
        self,
        storage: Storage,
        entries: Entries,
        copies: Copies,
        settings: Settings,
        counts: Counts,
    ) -> None:
        self._storage = storage
        self._entries = entries
        self._copies = copies
        self._turns = asyncio.Lock()
        """Held for a turn of the loop by one follower at a time: see `Follower`."""
        self._settings = settings
        self._counts = counts
        self._followers: dict[int, Follower] = {}
        self._cleanup: asyncio.Task[None] | None = None

    @property
    def count(self) -> int:
        """The number of followed logs."""
        return len(self._followers)

    def lag(self) -> float:
        """Seconds since a log was last read to its end: the most of all followers, 0 for none."""
        now = monotonic()
        return max((now - each.as_of for each in list(self._followers.values())), default=0.0)

    def get(self, partition: int) -> Follower | None:
        """The follower of a partition, or None."""
        return self._followers.get(partition)

    def follow(self, partition: int) -> Follower:
        """The follower of a partition, started if there is none."""
        follower = self._followers.get(partition)
        if follower is None:
            follower = Follower(
                self._storage,
                partition,
                self._entries,
                self._copies,
                self._turns,
                self._settings,
                self._counts,
            )
            self._followers[partition] = follower
        return follower

    def follow_for_cache(self, partition: int, now: float) -> None:
        """Follow a partition for its copies, for `cache_idle` seconds after the last call."""
        self.follow(partition).needed_until = now + self._settings.cache_idle
        if self._cleanup is None:
            self._cleanup = asyncio.create_task(self._stop_idle_regularly(), context=Context())

    async def notice(self, key: Key, changed: asyncio.Event) -> None:
        """Set the event `changed` whenever a key may have changed, or a lease on it ended.

        No change after the return is missed. Must be paired with `ignore`.
        """
        await self.follow(self._storage.partition_of(key.tenant_id)).notice(key, changed)

    async def ignore(self, key: Key, changed: asyncio.Event) -> None:
        """Stop setting an event that `notice` got."""
        partition = self._storage.partition_of(key.tenant_id)
        follower = self._followers.get(partition)
        if follower:
            follower.ignore(key, changed)
            await self.stop_idle(partition)

    def listen(self, partition: int, changed: asyncio.Event) -> None:
        """Set the event `changed` when a partition's log may have changed: see `Follower.listen`.

        Must be paired with `leave`.
        """
        self.follow(partition).listen(changed)

    async def leave(self, partition: int, changed: asyncio.Event) -> None:
        """Stop setting an event that `listen` got."""
        follower = self._followers.get(partition)
        if follower:
            follower.leave(changed)
            await self.stop_idle(partition)

    async def stop_idle(self, *partitions: int) -> None:
        """Stop the followers of these partitions that are idle."""
        followers = ((each, self._followers.get(each)) for each in partitions)
        await self._end([each for each, follower in followers if follower and follower.is_idle])

    async def close(self) -> None:
        """Stop all followers."""
        if self._cleanup:
            self._cleanup.cancel()
            await asyncio.wait([self._cleanup])
        while self._followers:
            await self._end(list(self._followers))

    async def _end(self, partitions: Sequence[int]) -> None:
        ended = [self._followers.pop(partition) for partition in partitions]
        # First stop all: while `close` is awaited, new followers of these partitions may start,
        # and this task may be cancelled.
        for partition, follower in zip(partitions, ended, strict=True):
            self._copies.forget(partition)
            follower.stop()
        for follower in ended:
            await follower.close()

    async def _stop_idle_regularly(self) -> None:
        while True:
            await asyncio.sleep(self._settings.cache_idle / 2)
            await self.stop_idle(*self._followers)
