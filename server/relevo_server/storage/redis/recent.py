"""A cache of recently read contexts: a version is fetched once, not once per reader.

Every read asks the store for the entry's last write, by version and mark; if that write's context
is cached, it is not sent again. The version alone does not identify a write: if a failover loses
a write and the new clock is behind the log, the next write gets the same version (S3's limit).
No I/O and no clock.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

from relevo_server.hiding import hides
from relevo_server.keys import Key
from relevo_server.storage.interface import ABSENT, CORRUPT, Stored

_OVERHEAD = 256
"""Approximate memory in bytes that a cached context takes beside itself."""


@hides("context")
class CachedContext(NamedTuple):
    """A cached context, with the version and the mark of its write."""

    version: int
    context: bytes
    mark: bytes = b""
    """Unique to the write: versions repeat after a failover, if the clock is behind the log."""


NOTHING = CachedContext(ABSENT, b"")


class RecentContexts:
    """Contexts by key, bounded in bytes; the least recently used are evicted first."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._contexts: OrderedDict[Key, CachedContext] = OrderedDict()
        self._bytes = 0

    def of(self, keys: Sequence[Key]) -> list[CachedContext]:
        """The cached context of each key, `NOTHING` for none."""
        return [self._contexts.get(key, NOTHING) for key in keys]

    def complete(
        self,
        key: Key,
        cached: CachedContext,
        known_version: int,
        stored: Stored | None,
        mark: bytes,
    ) -> Stored | None:
        """The store's answer with its context, which is then cached.

        `cached` was cached when the store was asked, so the store did not send that write's
        context. `known_version` is the one that the reader has: the answer to it has no context.
        """
        if stored is None or stored is CORRUPT:
            self._drop(key)
            return stored
        if (stored.version, mark) == (cached.version, cached.mark) and stored.context is None:
            stored = stored._replace(context=cached.context, left_out=0)
        if stored.context is not None:
            self._keep(key, CachedContext(stored.version, stored.context, mark))
        if stored.version == known_version:
            return stored._replace(context=None, left_out=0)
        return stored

    def _keep(self, key: Key, cached: CachedContext) -> None:
        if self._contexts.get(key, NOTHING) == cached:
            self._contexts.move_to_end(key)
            return
        self._drop(key)
        self._contexts[key] = cached
        self._bytes += _OVERHEAD + len(cached.context)
        while self._bytes > self._max_bytes:
            self._drop(next(iter(self._contexts)))

    def _drop(self, key: Key) -> None:
        cached = self._contexts.pop(key, None)
        if cached:
            self._bytes -= _OVERHEAD + len(cached.context)
