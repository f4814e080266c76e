"""The one thing that authentication may have to wait for."""

import asyncio
from typing import Any

NO_KEYS = "the keys that verify tokens cannot be had"


class KeysPending(Exception):  # noqa: N818 - no error: the answer comes later
    """Raised if a token names a key that is being fetched. Ask again after `fetched`."""

    def __init__(self, fetch: "asyncio.Task[Any]", *, has_keys: bool) -> None:
        super().__init__()
        self._fetch = fetch
        self.has_keys = has_keys
        """Whether the issuer has other keys, that were fetched before."""

    async def fetched(self) -> None:
        """Wait until the keys were fetched, or could not be."""
        await asyncio.wait([self._fetch])
