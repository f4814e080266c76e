"""What both drivers of the near cache go by: how it is bounded, when to ping, when to try again."""

import random
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import grpc
from grpc import aio

from relevo_client._context.errors import RelevoError, UnavailableError, from_call
from relevo_client._context.log import log
from relevo_client._near_cache.machine import NearCache
from relevo_client._store.contact import BROKEN, Contact

SLICE = 200
"""Requests that are sent at once; a pause follows, so that a reconnect is no herd."""
_PAUSE = 0.02
_PINGS = 8
"""How many pings are sent in the time for which copies are trusted."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
"""Seconds before a stream is opened again; with jitter up to half as long again. A server that
comes back after long has each client's stream within two seconds."""
_LASTING = 5.0
"""Seconds after which a stream that ends was a good one."""


@dataclass(frozen=True)
class CacheOptions:
    """How a client keeps contexts."""

    max_staleness: float = 2.0
    """Seconds for which a copy may be used after contact with the store was lost."""
    max_entries: int = 10_000
    """Entries that are kept; the least recently used go first."""
    max_bytes: int = 64 << 20
    """Their serialized size, together."""

    @property
    def ping_interval(self) -> float:
        """Seconds between two signs of life."""
        return self.max_staleness / _PINGS

    def cache(self, renewed_scopes: AbstractSet[str]) -> NearCache:
        """An empty cache. Entries of these scopes are made anew before their time is over."""
        return NearCache(
            max_staleness=self.max_staleness,
            max_entries=self.max_entries,
            max_bytes=self.max_bytes,
            renewed_scopes=renewed_scopes,
        )


class Backoff:
    """Seconds before a stream is opened again: doubled each time, with jitter."""

    def __init__(self) -> None:
        self._pause = _FIRST_PAUSE

    def after(self, lasted: float) -> float:
        """The pause after a stream that was there for so many seconds."""
        pause = _FIRST_PAUSE if lasted > _LASTING else self._pause
        self._pause = min(2 * pause, _LONGEST_PAUSE)
        return _jittered(pause)


def slice_pause() -> float:
    """Seconds before the next slice of requests."""
    return _jittered(_PAUSE)


def _jittered(pause: float) -> float:
    return pause * random.uniform(0.5, 1.5)  # noqa: S311 - jitter


def tell_end(error: Exception, contact: Contact, attempt: int) -> None:
    """Note why a stream has ended. What no network does is a defect, and logged as one."""
    match error:
        case grpc.RpcError():
            failure = from_call(error)
            reason = failure.reason
            if isinstance(failure, UnavailableError) or reason in BROKEN:
                contact.failed(attempt, f"{reason}, {failure}")
        case RelevoError():
            reason = error.reason
        case TimeoutError():
            reason = type(error).__name__
            contact.failed(attempt, "it gives no sign of life")
        case aio.UsageError():
            reason = type(error).__name__
        case _:
            log.error("the watch of the store failed", exc_info=error)
            return
    log.debug("the watch of the store has ended: %s", reason)
