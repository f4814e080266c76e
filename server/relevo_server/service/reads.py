"""Reads of entries: from the server's copies if the caller allows it, else from the store."""

import asyncio
from collections.abc import Sequence
from time import monotonic

from relevo_server import errors
from relevo_server.deadline import has_time_for
from relevo_server.event_log.copies import Copies
from relevo_server.event_log.followers import Followers
from relevo_server.keys import Key
from relevo_server.service.activity import CALLS, MISSES, Activity
from relevo_server.settings import Settings
from relevo_server.storage.interface import Limits, Read, Storage, Stored
from relevo_server.telemetry.counts import HIT, MISS, Counts
from relevo_server.wire.digests import is_digest
from relevo_server.wire.entries import Entries
from relevo_server.wire.requests import Get

_ATTEMPTS = 8
_PATIENCE = (0.005, 0.015, 0.04, 0.09)
"""Seconds between reads of a snapshot that is not there yet."""


def head_of(get: Get, read: Read, layers: Sequence[Key], activity: Activity) -> Stored:
    """The entry that was read, and counted as a call for its tenant.

    Raises PERMISSION_DENIED for a layer that the caller may not read, STORE_BEHIND and NO_ENTRY.
    """
    get.require_layers(layers)
    row = activity.of(get.key.tenant_id)
    row[CALLS] += 1
    if read.revision < get.min_revision:
        raise errors.store_behind(get.key, read.revision)
    head = read.entries[0]
    if head is None:
        row[MISSES] += 1
        raise errors.no_entry(get.key)
    return head


class TooLargeError(Exception):
    """Raised instead of an answer that exceeds its limits. `size` is what is known of it, in bytes.

    The layers of an entry that is too large itself are not known.
    """

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


def require_within(get: Get, read: Read, limits: Limits) -> None:
    """Raise TooLargeError if the contexts to answer exceed the limits, or were left out."""
    head, *layers = read.entries
    size = head.size if head and head.version != get.known_version else 0
    size += sum(layer.size for layer in layers if layer)
    if size > limits.total:
        raise TooLargeError(size)


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

        None if the caller wants a strong read, if the copies lack one of the entries, or for a
        snapshot that does not exist.
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
        if read is None or (read.entries[0] is None and is_digest(key)):
            return None  # what a copy does not show yet, the store may have
        return read, layers

    async def from_store(
        self, get: Get, limits: Limits | None = None
    ) -> tuple[Read, Sequence[Key]]:
        """The entry with its layers from the store, and the layers' keys.

        Raises ABORTED if the layers kept changing, DATA_LOSS if what is stored is no context, and
        TooLargeError if the contexts exceed the limits.
        """
        keep = self._is_cached(get)
        if keep or get.include_layers:
            return await self._whole(get, limits, keep=keep)
        read = await self._storage.read([get.key], (get.known_version,), limits)
        if limits:
            require_within(get, read, limits)
        return read, ()

    async def awaited(self, get: Get) -> tuple[Read, Sequence[Key]]:
        """The same as `from_store`, with patience for a snapshot that is on its way.

        Who begins a turn does not wait until its snapshot is stored. A callee that did not get the
        snapshot itself, only its name, may ask for it a moment earlier than it arrives.
        """
        found = await self.from_store(get)
        for pause in _PATIENCE if is_digest(get.key) else ():
            if found[0].entries[0] is not None or not has_time_for(pause):
                break
            await asyncio.sleep(pause)
            found = await self.from_store(get)
        return found

    def _is_cached(self, get: Get) -> bool:
        return self._has_cache and get.is_cached

    async def _whole(
        self, get: Get, limits: Limits | None, *, keep: bool
    ) -> tuple[Read, Sequence[Key]]:
        """Read full entries; with `keep`, for the copies too.

        The layers are known only after the entry was read. So it is read with the layers that it
        had last, and again until it includes exactly the entries that were read with it.
        """
        key = get.key
        layers = self._entries.last_includes(key) if get.include_layers else ()
        for _ in range(_ATTEMPTS):
            begun = monotonic()
            read = await self._storage.read([key, *layers], (), limits)
            head = read.entries[0]
            if head and head.left_out:
                raise TooLargeError(head.size)  # its layers may have changed since the last read
            is_whole = not any(stored and stored.left_out for stored in read.entries)
            if keep and is_whole:
                partition = self._storage.partition_of(key.tenant_id)
                self._copies.keep(partition, [key, *layers], read, begun)
            if not get.include_layers:
                return read, ()
            includes = self._entries.includes(key, head)
            if includes == layers:
                if not is_whole:
                    raise TooLargeError(sum(stored.size for stored in read.entries if stored))
                return read, layers
            layers = includes
        raise errors.contention(key)
