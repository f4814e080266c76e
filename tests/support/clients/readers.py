"""Readers of a near cache, for the tests of faults."""

import asyncio
import time

from relevo_client import AsyncContextClient, CacheOptions, ContextKey, NotFoundError

from support.waiting import until_async

KEY = ContextKey("conversation", "acme", "c1")
OPTIONS = CacheOptions(max_staleness=1.0)
SLACK = 0.3
"""Seconds by which a read may be late on a busy machine."""


class Reader:
    """Reads from the cache repeatedly, as a service's calls do."""

    def __init__(self, client: AsyncContextClient) -> None:
        self._client = client

    def sees(self, key: ContextKey = KEY) -> str | None:
        """The user of the cached context; None if it is not cached, "" if there is no entry."""
        try:
            found = self._client.peek(key)
        except NotFoundError:
            return ""
        return found.context.user_id if found else None

    async def until_it_sees(self, name: str | None, key: ContextKey = KEY) -> float:
        """Wait until the cache has this user, and return the seconds."""
        begin = time.monotonic()

        async def is_seen() -> bool:
            return self.sees(key) == name

        await until_async(is_seen, within=20, what=f"the cache says {name}")
        return time.monotonic() - begin

    async def until_it_forgets(self, name: str, *, within: float) -> None:
        """Wait until the cache no longer has this user."""
        begin = looked = time.monotonic()
        while self.sees() == name:
            assert looked - begin < within
            await asyncio.sleep(0.01)
            looked = time.monotonic()  # before the read, because it may end much later
