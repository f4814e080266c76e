"""Touches of a Watch stream: one that fails costs no other request of the stream."""

from collections.abc import Callable, Collection
from time import monotonic

from relevo_server.errors import StoreError
from relevo_server.keys import Key
from relevo_server.storage.interface import Storage

_PAUSE = 5.0
"""Seconds for which a partition is not touched after a Touch of it failed. Requests behind a Touch
wait for it, and a store that is silent takes a second each time: pings have to get through."""


class Touching:
    """Touches entries for one stream, in the scopes whose times to live are `sliding`."""

    def __init__(
        self,
        storage: Storage,
        sliding: Collection[str],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._storage = storage
        self._sliding = sliding
        self._clock = clock
        # When the partitions may be touched again.
        self._resting: dict[int, float] = {}

    async def touch(self, key: Key) -> None:
        """Restart the time to live of an entry. Does nothing if the store cannot do it now."""
        if key.scope not in self._sliding:
            return
        partition = self._storage.partition_of(key.tenant_id)
        if self._clock() < self._resting.get(partition, 0.0):
            return
        self._resting.pop(partition, None)
        try:
            await self._storage.touch(key)
        except StoreError:
            # The client touches again while it uses the entry, and else reads it anew.
            self._resting[partition] = self._clock() + _PAUSE
