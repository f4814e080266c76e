"""The snapshots that a client has made itself, and what it tells if one cannot be stored."""

import threading
import time
from collections import OrderedDict
from dataclasses import replace
from typing import NamedTuple

from relevo_client._context.entry import ContextEntry, with_fence
from relevo_client._context.errors import RelevoError
from relevo_client._context.keys import ContextKey
from relevo_client._context.log import log
from relevo_client._context.riders import riding
from relevo_client._context.sources import ContextSource
from relevo_client._telemetry.counts import COUNTS
from relevo_client._telemetry.outcomes import OK, outcome_of

_MAX_KNOWN = 256
_TRUST = 10.0
"""Seconds after an answer of the store for which a snapshot counts as stored: until the near cache
knows more. Somebody may end it meanwhile."""
_LOG_INTERVAL = 60.0
"""Seconds before a failure of the same cause is logged again."""


class _Known(NamedTuple):
    entry: ContextEntry
    made: float
    stored: float
    """The time at which the store answered that it has the snapshot."""


class KnownSnapshots:
    """The last snapshots of one client, by their names: the same object while nothing changes.

    Calls that carry an entry encode it once, so a turn should not make it anew.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[ContextKey, _Known] = OrderedDict()
        self._lock = threading.Lock()

    def like(self, source: ContextEntry) -> ContextEntry | None:
        """The snapshot of an entry as it was kept, with the entry's fence.

        That of a stale entry is stale too, and rides nevertheless: whoever begins a turn with it
        has chosen this state for all of its calls, and a snapshot's name says which one it is.

        None if it is not known, or has less than half of its time left.
        """
        known = self._known.get(source.snapshot_key)
        if known is None or time.monotonic() - known.made > known.entry.ttl.total_seconds() / 2:
            return None
        entry = with_fence(known.entry, source.revision)
        if source.is_stale:
            entry = riding(replace(entry, is_stale=True, source=source.source), entry)
        return entry

    def stored(self, key: ContextKey) -> ContextEntry | None:
        """The entry of a snapshot that the store had lately, as it has answered; else None."""
        known = self._known.get(key)
        return known.entry if known and time.monotonic() - known.stored < _TRUST else None

    def keep(self, entry: ContextEntry) -> None:
        """Keep a snapshot's entry; with a version above 0, as the store has answered it.

        What is of one turn alone is not kept: where its context came from, and a later fence.
        """
        now = time.monotonic()
        if entry.version and entry.revision > entry.version:
            entry = replace(entry, revision=entry.version)
        if entry.is_stale or entry.source is not ContextSource.NEAR_CACHE:
            entry = replace(entry, is_stale=False, source=ContextSource.NEAR_CACHE)
        known = _Known(entry, now, now if entry.version else float("-inf"))
        with self._lock:
            self._known[entry.key] = known
            self._known.move_to_end(entry.key)
            if len(self._known) > _MAX_KNOWN:
                self._known.popitem(last=False)


class PutReports:
    """Counts the Puts of snapshots, and logs failures that no caller is told, once per cause."""

    def __init__(self) -> None:
        self._logged: dict[str, float] = {}

    def stored(self) -> None:
        """Count a Put that has succeeded, or found the snapshot."""
        COUNTS.snapshots[OK] += 1

    def failed(self, key: ContextKey, error: Exception, *, is_awaited: bool) -> None:
        """Count a Put that has failed; log its cause if nobody waits for it."""
        outcome = outcome_of(error)
        COUNTS.snapshots[outcome] += 1
        now = time.monotonic()
        if is_awaited or now - self._logged.get(outcome, -_LOG_INTERVAL) < _LOG_INTERVAL:
            return
        self._logged[outcome] = now
        cause = error.reason if isinstance(error, RelevoError) else type(error).__name__
        log.warning("%s is not stored, and only calls that carry it have it: %s", key, cause)
