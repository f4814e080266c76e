"""How a reader asks a client: each answer becomes an observation."""

import threading
import time
from typing import Protocol, Self

from relevo_client import (
    ContextEntry,
    ContextKey,
    ContextRef,
    IncompleteContextError,
    NotFoundError,
    RelevoError,
    StoreBehindError,
)

from relevo_probe.canaries import Canaries, missing_parts, parts_of
from relevo_probe.history import Part, Read, Source
from relevo_probe.record import Record

STORE = "store"
"""The name of the store and its servers as a reader."""
_SAME = 0.02
"""Seconds for which an answer that equals the one before it is not recorded again."""


class Peeking(Protocol):
    """What both clients have: a lookup in the near cache."""

    def peek(self, target: ContextKey | ContextRef) -> ContextEntry | None:
        """The entry that `resolve` would return, if the cache has it; else None."""
        ...


class NearCacheReader:
    """Reads one client's near cache, and records what it shows.

    Any threads may use it: one at a time, so that the answers are recorded in their order.
    """

    def __init__(self, name: str, client: Peeking, record: Record) -> None:
        self.name = name
        self._client = client
        self._record = record
        self._lock = threading.Lock()
        self._is_fenced = False
        self._last: dict[tuple[ContextKey, bool], tuple[object, float]] = {}

    def look(self, canaries: Canaries) -> bool:
        """Look a tenant's canaries up, by turns with a fence and without.

        Returns whether the near cache has an answer for each.
        """
        with self._lock:
            self._is_fenced = not self._is_fenced
            fence = self._record.fence(canaries.tenant_id) if self._is_fenced else 0
            answers = [(key, self._peek(key, fence)) for key in canaries.looked_up]
            self._record.observe([read for key, read in answers if self._is_new(key, fence, read)])
            return all(read for _, read in answers)

    def _peek(self, key: ContextKey, fence: int) -> Read | None:
        begin = time.monotonic()
        try:
            entry = self._client.peek(ContextRef(key, fence))
        except NotFoundError:
            return self._read(begin, (Part(key, 0),), fence)
        return self._read(begin, parts_of(entry), fence, entry.revision) if entry else None

    def _read(self, begin: float, parts: tuple[Part, ...], fence: int, revision: int = 0) -> Read:
        return Read(self.name, "near_cache", begin, time.monotonic(), parts, fence, revision)

    def _is_new(self, key: ContextKey, fence: int, read: Read | None) -> bool:
        """Whether an answer says more than the one before it."""
        name, answer, now = (key, fence > 0), (fence, read and read.parts), time.monotonic()
        before, then = self._last.get(name, (None, 0.0))
        if answer == before and now - then < _SAME:
            return False
        self._last[name] = answer, now
        return True


class StoreRead:
    """A read of the store as a block, which asks for `ref` and sets `entry`.

    The end of the block records the answer: that there is no entry, or that a layer is missing,
    is one. All other errors of the client are counted, and do not leave the block.
    """

    def __init__(self, record: Record, ref: ContextRef, source: Source) -> None:
        self.ref = ref
        self.entry: ContextEntry | None = None
        self._record = record
        self._source: Source = source
        self._begin = time.monotonic()

    def __enter__(self) -> Self:
        """Begin the read now."""
        self._begin = time.monotonic()
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        """Record the answer."""
        match error:
            case None:
                if self.entry:
                    self._answered(parts_of(self.entry), self.entry.revision)
            case NotFoundError():
                self._answered((Part(self.ref.key, 0),))
            case IncompleteContextError():
                self._answered(missing_parts(error))
            case StoreBehindError():
                self._record.behind(self.ref, time.monotonic())
            case RelevoError():
                self._record.fail(error)
            case _:
                return False
        return True

    def _answered(self, parts: tuple[Part, ...], revision: int = 0) -> None:
        now, fence = time.monotonic(), self.ref.revision
        read = Read(STORE, self._source, self._begin, now, parts, fence, revision)
        self._record.observe([read])
