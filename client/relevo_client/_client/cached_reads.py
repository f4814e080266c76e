"""The reads of a client that its near cache alone answers: the same for both kinds of client."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from relevo_client._client.reference_keys import KeySource, ReferenceKeys
from relevo_client._context.entry import ContextEntry
from relevo_client._context.keys import ContextKey, ContextRef
from relevo_client._context.signatures import LEFT, expiry_of, later
from relevo_client._context.sources import ContextSource
from relevo_client._store.requests import ref_of
from relevo_client._telemetry.counts import CacheCounts


class Lookup(Protocol):
    """A near cache, or the sampler of one."""

    def resolve(self, ref: ContextRef) -> ContextEntry | None:
        """The composed entry of a reference, or None if the store must be asked."""
        ...


class Copies(Lookup, Protocol):
    """A near cache, as far as reads need it."""

    @property
    def counts(self) -> CacheCounts:
        """A copy of the cache's counters."""
        ...

    def last_known(self, ref: ContextRef) -> ContextEntry | None:
        """The last known entry of a reference, marked as stale, or None."""
        ...

    def age(self, key: ContextKey) -> float | None:
        """The seconds since the copy of a key was last proven current; None if unknown."""
        ...

    def pop_ageing(self) -> Sequence[tuple[ContextKey, int]]:
        """Remove and return the ageing entries in use, as keys and versions."""
        ...


class Renewal(Protocol):
    """The renewal of entries before they expire."""

    def renew(self, ageing: Iterable[tuple[ContextKey, int]]) -> None:
        """Begin to renew entries, given as keys and versions."""
        ...


class CachedReads:
    """The base of both clients: their methods that send nothing.

    `copies` is the near cache, None for a client without one; `lookup` answers for it. `keys` is
    the argument `reference_keys` of the client.
    """

    def __init__(
        self,
        copies: Copies | None,
        lookup: Lookup | None,
        renewal: Renewal,
        keys: KeySource | None,
    ) -> None:
        self.reference_keys = None if keys is None else ReferenceKeys(keys)
        """The keys that verify signed references; None without `reference_keys`."""
        self._copies = copies
        self._lookup = lookup or copies
        self._renewal = renewal

    def peek(self, target: ContextKey | ContextRef) -> ContextEntry | None:
        """The entry that `resolve` would return, if this client's cache has it; else None.

        Sends nothing. Raises NotFoundError if the cache knows that there is no entry. Returns
        None if an included entry is missing: only the store can tell.
        """
        if self._copies is None or self._lookup is None:
            return None
        ref = ref_of(target)
        found = self._lookup.resolve(ref)
        ageing = self._copies.pop_ageing()
        if ageing:
            self._renewal.renew(ageing)
        if found and (found.signature or ref.signature):
            return _signed(found, ref)
        return found

    def last_known(self, target: ContextKey | ContextRef) -> ContextEntry | None:
        """The cache's last copy of the entry, marked as `is_stale`; None if it has none.

        For the time that the store is unavailable: the copy may be older than the reference's
        revision, and the entry may have changed. A copy that has expired, or that the cache
        knows to be invalidated, is not returned.
        """
        return self._copies.last_known(ref_of(target)) if self._copies else None

    def age(self, entry: ContextEntry) -> float | None:
        """The seconds since an entry, which was just resolved, was last proven current.

        It is 0 if the store was asked. Returns None for an entry that the cache has no longer.
        """
        if entry.source in (ContextSource.STORE, ContextSource.LOADER):
            return 0.0
        return self._copies.age(entry.key) if self._copies else None

    @property
    def cache_counts(self) -> CacheCounts:
        """The cache's counts so far; all zero without a cache."""
        return self._copies.counts if self._copies else CacheCounts()


def _signed(found: ContextEntry, ref: ContextRef) -> ContextEntry | None:
    """The entry with its signature or the reference's, or None if the store has to sign anew."""
    signature = later(found.signature, ref.signature)
    if is_expiring(signature):
        return None
    return found if signature == found.signature else replace(found, signature=signature)


def is_expiring(signature: str) -> bool:
    """Whether a call should not take a signature along any more; never for ""."""
    return bool(signature) and expiry_of(signature) < time.time() + LEFT
