"""Reads of entries: from copies for calls that are content with these, else from the store."""

from collections.abc import Sequence
from time import monotonic

from relevo_server import errors
from relevo_server.event_log.copies import Copies
from relevo_server.event_log.followers import Followers
from relevo_server.keys import Key
from relevo_server.settings import Settings
from relevo_server.storage.interface import Read, Storage
from relevo_server.wire.entries import Entries
from relevo_server.wire.requests import Get

_ATTEMPTS = 8


class Reader:
    """Reads entries together with what they include.

    CACHED reads are answered from `copies` where these have reached the fence. A copy is as new
    as the log was at its last look, which is younger than `cache_max_staleness`. All other reads
    ask the store.
    """

    def __init__(
        self,
        storage: Storage,
        entries: Entries,
        copies: Copies,
        followers: Followers,
        settings: Settings,
    ) -> None:
        self._storage = storage
        self._entries = entries
        self._copies = copies
        self._followers = followers
        self._has_cache = settings.cache_max_entries > 0

    def look(self, request: Get) -> tuple[Read, Sequence[Key]] | None:
        """What a CACHED read is answered from copies, if they have it; as `ask` does."""
        if not self._may_look(request):
            return None
        now = monotonic()
        key = request.key
        partition = self._storage.partition_of(key.tenant_id)
        self._followers.follow_for_cache(partition, now)
        layers: Sequence[Key] = ()
        read = self._copies.get(partition, [key], request.min_revision, now)
        if read and request.include_layers:
            layers = self._entries.includes(key, read.entries[0])
            # Nothing comes in between: both are as of the same position.
            read = self._copies.get(partition, [key, *layers], request.min_revision, now)
        return (read, layers) if read else None

    async def ask(self, request: Get) -> tuple[Read, Sequence[Key]]:
        """The entry and, where they are asked for, its layers: their keys are the second value."""
        keep = self._may_look(request)
        if keep or request.include_layers:
            return await self._ask(request, keep=keep)
        return await self._storage.read([request.key], (request.known_version,)), ()

    def _may_look(self, request: Get) -> bool:
        return self._has_cache and request.is_cached

    async def _ask(self, request: Get, *, keep: bool) -> tuple[Read, Sequence[Key]]:
        """Read together as of one revision.

        The layers are known once the entry has been read. So it is read with those that it
        had last, and read again until it includes what was read.
        """
        key = request.key
        layers = self._entries.included_last(key) if request.include_layers else ()
        for _ in range(_ATTEMPTS):
            begun = monotonic()
            read = await self._storage.read([key, *layers])
            if keep:
                partition = self._storage.partition_of(key.tenant_id)
                self._copies.keep(partition, [key, *layers], read, begun)
            if not request.include_layers:
                return read, ()
            wanted = self._entries.includes(key, read.entries[0])
            if wanted == layers:
                return read, layers
            layers = wanted
        raise errors.contention(key)
