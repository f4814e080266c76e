"""The logs that a server follows: each once, while anyone has use for it."""

import asyncio
from collections.abc import Sequence
from contextvars import Context

from relevo_server.event_log.copies import Copies
from relevo_server.event_log.follower import Follower
from relevo_server.keys import Key
from relevo_server.settings import Settings
from relevo_server.storage.interface import Storage
from relevo_server.wire.entries import Entries


class Followers:
    """The followers of partitions. What they read keeps `copies` current."""

    def __init__(
        self, storage: Storage, entries: Entries, copies: Copies, settings: Settings
    ) -> None:
        self._storage = storage
        self._entries = entries
        self._copies = copies
        self._settings = settings
        self._followers: dict[int, Follower] = {}
        self._tidying: asyncio.Task[None] | None = None

    def get(self, partition: int) -> Follower | None:
        """The follower of a partition, where there is one."""
        return self._followers.get(partition)

    def follow(self, partition: int) -> Follower:
        """The follower of a partition, begun where there is none."""
        follower = self._followers.get(partition)
        if follower is None:
            follower = Follower(
                self._storage, partition, self._entries, self._copies, self._settings
            )
            self._followers[partition] = follower
        return follower

    def need(self, partition: int, now: float) -> None:
        """Follow a partition for its copies, until nobody has asked for `cache_idle` seconds."""
        self.follow(partition).needed_until = now + self._settings.cache_idle
        if self._tidying is None:
            self._tidying = asyncio.create_task(self._keep_tidy(), context=Context())

    async def notice(self, key: Key, changed: asyncio.Event) -> None:
        """Set an event whenever something may have happened to a key, a lease's end too.

        Nothing that happens after this has returned is missed. `ignore` has to follow.
        """
        await self.follow(self._storage.partition_of(key.tenant_id)).notice(key, changed)

    async def ignore(self, key: Key, changed: asyncio.Event) -> None:
        """Set it no more."""
        partition = self._storage.partition_of(key.tenant_id)
        follower = self._followers.get(partition)
        if follower:
            follower.ignore(key, changed)
            await self.rest(partition)

    async def rest(self, *partitions: int) -> None:
        """Follow partitions no more if nobody has use for them."""
        followers = ((each, self._followers.get(each)) for each in partitions)
        await self._end([each for each, follower in followers if follower and follower.is_idle])

    async def close(self) -> None:
        """Follow no more."""
        if self._tidying:
            self._tidying.cancel()
            await asyncio.wait([self._tidying])
        while self._followers:
            await self._end(list(self._followers))

    async def _end(self, partitions: Sequence[int]) -> None:
        ended = [self._followers.pop(partition) for partition in partitions]
        # All at once: other followers may begin before these have ended, and whoever waits for
        # that may be cancelled.
        for partition, follower in zip(partitions, ended, strict=True):
            self._copies.forget(partition)
            follower.stop()
        for follower in ended:
            await follower.close()

    async def _keep_tidy(self) -> None:
        while True:
            await asyncio.sleep(self._settings.cache_idle / 2)
            await self.rest(*self._followers)
