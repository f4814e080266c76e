"""The rules for every answer of a simulated cache. Each check raises AssertionError."""

from collections.abc import Callable

from relevo_client import ContextEntry, ContextKey, ExecutionContext
from relevo_client._near_cache.machine import NearCache
from relevo_client._near_cache.state import ABSENT, Copy
from relevo_server.keys import Key
from relevo_server.wire.contexts import key_of

from support.simulation.store import HEAD, LAYER, Store

MAX_STALENESS = 2.0
"""Seconds for which a copy may be used after its entry has ended."""
_ROUNDING = 1e-6
MAX_ENTRIES = 5
MAX_BYTES = 1 << 16


class Rules:
    """The rules of one world: `time` is its clock, `snapshot_key` names an entry's snapshot."""

    def __init__(
        self,
        store: Store,
        time: Callable[[], float],
        snapshot_key: Callable[[ContextEntry], ContextKey],
    ) -> None:
        self._store = store
        self._time = time
        self._snapshot_key = snapshot_key
        self._snapshots: dict[ContextKey, ExecutionContext] = {}

    def check_missing_layer(self, cache: NearCache) -> None:
        """Check that the layer was missing at a moment when the head existed."""
        head = cache.lookup(ContextKey(*HEAD), 0, self._time())
        assert head, "the layer was there"
        assert self._store.had_together({HEAD: head.entry_version, LAYER: ABSENT}), (
            "the layer was there"
        )

    def check_whole(self, found: ContextEntry) -> None:
        """Check that all parts existed at the same moment (N9)."""
        versions = {key_of(each.key.to_message()): each.version for each in (found, *found.layers)}
        assert self._store.had_together(versions), f"{versions} never existed together"

    def check_snapshot(self, found: ContextEntry) -> None:
        """Check that the entry's snapshot has the same content (promise 2)."""
        snapshot = self._snapshots.setdefault(self._snapshot_key(found), found.context)
        assert snapshot == found.context, "the snapshot differs from what was resolved"

    def check_copy(self, key: Key, copy: Copy, fence: int) -> None:
        """Check that a copy may be served, and has its version's content."""
        self.check(key, copy.version, fence)
        if copy.version != ABSENT:
            assert copy.entry_version == copy.version

    def check(self, key: Key, version: int | None, fence: int) -> None:
        """Check that the version existed at or after the fence, and is not too old (N1, N2)."""
        eras = [era for era in self._store.eras[key] if era.version == version]
        assert eras, f"{key} never had the version {version}"
        reached = [era for era in eras if era.until is None or era.until > fence]
        assert reached, f"{key}@{version} is older than the fence {fence}"
        now = self._time()
        age = now - max(era.ended or now for era in reached)
        assert age <= MAX_STALENESS + _ROUNDING, f"{key}@{version} ended {age:.2f} s ago"

    @staticmethod
    def check_bounds(cache: NearCache) -> None:
        """Check that the cache is within its limits (N6)."""
        figures = cache.figures(now=0)
        assert figures.entries <= MAX_ENTRIES, "more entries than allowed"
        assert figures.size <= MAX_BYTES, "more bytes than allowed"
