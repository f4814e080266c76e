"""The reads of a client that its near cache alone answers: the same for both kinds of client."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from relevo_client._client.reference_keys import KeySource, ReferenceKeys
from relevo_client._context.entry import ContextEntry
from relevo_client._context.errors import NotFoundError
from relevo_client._context.fences import FENCES
from relevo_client._context.keys import ContextKey, ContextRef
from relevo_client._context.riders import Refused, Rider, RiderRefusedError, named_only, verified
from relevo_client._context.signatures import LEFT, expiry_of, later
from relevo_client._context.sources import ContextSource
from relevo_client._store.requests import ref_of
from relevo_client._telemetry.counts import COUNTS, CacheCounts
from relevo_client._telemetry.outcomes import OK


class Lookup(Protocol):
    """A near cache, or the sampler of one."""

    def resolve(self, ref: ContextRef) -> ContextEntry | None:
        """The composed entry of a reference, or None if the store must be asked."""
        ...


class Copies(Lookup, Protocol):
    """A near cache, as far as reads need it."""

    @property
    def ageing(self) -> Sequence[tuple[ContextKey, int]]:
        """The entries that `pop_ageing` would return."""
        ...

    @property
    def counts(self) -> CacheCounts:
        """A copy of the cache's counters."""
        ...

    def last_known(self, ref: ContextRef) -> ContextEntry | None:
        """The last known entry of a reference, marked as stale, or None."""
        ...

    def accept_rider(self, rider: Rider, *, keep: bool) -> bool:
        """Whether a call may use the verified rider that came with it, and keep it if so."""
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
        None if an included entry is missing: only the store can tell. In a call, the entry is as
        of the call's fence or later: the newest revision that the call has heard of.
        """
        if self._copies is None or self._lookup is None:
            return None
        ref = target if isinstance(target, ContextRef) else ContextRef(target)
        fences = FENCES.get()
        if fences is not None:
            ref = fences.raised(ref)
        found = self._lookup.resolve(ref)
        if found is not None and fences is not None:
            fences.see(found)
        if self._copies.ageing:
            self._renewal.renew(self._copies.pop_ageing())
        if found and (found.signature or ref.signature):
            return _signed(found, ref)
        return found

    def take_rider(
        self, ref: ContextRef, rider: bytes, *, is_trusted: bool = True
    ) -> ContextEntry | None:
        """The entry in a rider that came with a reference; None if it must not be used.

        Sends nothing, and never raises: without the rider, `resolve` the reference. The
        near cache keeps the entry for later calls. `is_trusted` is whether the caller is trusted
        beyond the reference's signature: otherwise the entry has only what its name covers,
        without times, and is not kept.
        """
        try:
            entry = self._taken(verified(rider, ref), keep=is_trusted)
        except RiderRefusedError as refused:
            COUNTS.riders[refused.why.value] += 1
            return None
        COUNTS.riders["used"] += 1
        COUNTS.resolutions[ContextSource.RIDER.value, OK] += 1
        return entry

    def last_known(self, target: ContextKey | ContextRef) -> ContextEntry | None:
        """The cache's last copy of the entry, marked as `is_stale`; None if it has none.

        For the time that the store is unavailable: the copy may be older than the reference's
        revision and the call's fence, and the entry may have changed. A copy that has expired, or
        that the cache knows to be invalidated, is not returned.
        """
        return self._copies.last_known(ref_of(target)) if self._copies else None

    def age(self, entry: ContextEntry) -> float | None:
        """The seconds since an entry, which was just resolved, was last proven current.

        It is 0 if the store was asked. Returns None for an entry that the cache has no longer.
        """
        if entry.source in (ContextSource.STORE, ContextSource.LOADER):
            return 0.0
        return self._copies.age(entry.key) if self._copies else None

    def _look_up(
        self, ref: ContextRef, *, fresh: bool
    ) -> tuple[ContextEntry | None, NotFoundError | None]:
        """The entry that `peek` returns, or the error that it raises; neither with `fresh`."""
        try:
            return None if fresh else self.peek(ref), None
        except NotFoundError as error:
            return None, error

    def _taken(self, rider: Rider, *, keep: bool) -> ContextEntry:
        if not keep:
            rider = rider._replace(entry=named_only(rider.entry))
        if self._copies and not self._copies.accept_rider(rider, keep=keep):
            raise RiderRefusedError(Refused.ENDED)
        return rider.entry

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
