"""Reads of entries: from the server's copies if the caller allows it, else from the store."""

from collections.abc import Sequence
from time import monotonic

from relevo_server import errors
from relevo_server.event_log.copies import Copies
from relevo_server.event_log.followers import Followers
from relevo_server.keys import Key
from relevo_server.settings import Settings
from relevo_server.storage.interface import Read, Storage
from relevo_server.telemetry.counts import HIT, MISS, Counts
from relevo_server.wire.entries import Entries
from relevo_server.wire.requests import Get

_ATTEMPTS = 8


class Reader:
    """Reads an entry together with its layers, as of one revision.

    A read with CONSISTENCY_CACHED is answered from `copies` if these have reached the fence. A
    copy is as new as the last poll of the log, which is younger than `cache_max_staleness`
    seconds. All other reads go to the store.
    """

    def __init__(
        self,
        storage: Storage,
        entries: Entries,
        copies: Copies,
        followers: Followers,
        settings: Settings,
        counts: Counts,
    ) -> None:
        self._storage = storage
        self._entries = entries
        self._copies = copies
        self._followers = followers
        self._lookups = counts.lookups
        self._has_cache = settings.cache_max_entries > 0

    def from_copies(self, get: Get) -> tuple[Read, Sequence[Key]] | None:
        """The entry with its layers from the copies, and the layers' keys.

        None if the caller wants a strong read, or if the copies lack one of the entries.
        """
        if not self._is_cached(get):
            return None
        now = monotonic()
        key = get.key
        partition = self._storage.partition_of(key.tenant_id)
        self._followers.follow_for_cache(partition, now)
        layers: Sequence[Key] = ()
        read = self._copies.get(partition, [key], get.min_revision, now)
        if read and get.include_layers:
            layers = self._entries.includes(key, read.entries[0])
            # Nothing comes in between: both are as of the same position.
            read = self._copies.get(partition, [key, *layers], get.min_revision, now)
        self._lookups[HIT if read else MISS] += 1
        return (read, layers) if read else None

    async def from_store(self, get: Get) -> tuple[Read, Sequence[Key]]:
        """The entry with its layers from the store, and the layers' keys.

        Raises ABORTED if the layers kept changing, and DATA_LOSS if what is stored is no context.
        """
        keep = self._is_cached(get)
        if keep or get.include_layers:
            return await self._whole(get, keep=keep)
        return await self._storage.read([get.key], (get.known_version,)), ()

    def _is_cached(self, get: Get) -> bool:
        return self._has_cache and get.is_cached

    async def _whole(self, get: Get, *, keep: bool) -> tuple[Read, Sequence[Key]]:
        """Read full entries; with `keep`, for the copies too.

        The layers are known only after the entry was read. So it is read with the layers that it
        had last, and again until it includes exactly the entries that were read with it.
        """
        key = get.key
        layers = self._entries.last_includes(key) if get.include_layers else ()
        for _ in range(_ATTEMPTS):
            begun = monotonic()
            read = await self._storage.read([key, *layers])
            if keep:
                partition = self._storage.partition_of(key.tenant_id)
                self._copies.keep(partition, [key, *layers], read, begun)
            if not get.include_layers:
                return read, ()
            includes = self._entries.includes(key, read.entries[0])
            if includes == layers:
                return read, layers
            layers = includes
        raise errors.contention(key)
