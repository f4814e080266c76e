"""Entries from the near cache: decoded once per version, composed once per set of versions."""

from collections.abc import Sequence
from dataclasses import replace

from relevo.v1.context_pb2 import ContextEntry as EntryMessage

from relevo_client._context import digest
from relevo_client._context.codec import entry_from_message
from relevo_client._context.entry import ContextEntry, composed, with_fence
from relevo_client._context.errors import NotFoundError, RelevoError
from relevo_client._context.keys import ContextKey, ContextRef
from relevo_client._context.reasons import Reason
from relevo_client._context.sources import ContextSource
from relevo_client._near_cache.machine import NearCache
from relevo_client._near_cache.state import ABSENT, Copy


def resolve(cache: NearCache, ref: ContextRef, now: float) -> ContextEntry | None:
    """The entry of a reference with its context composed, or None if the store must be asked.

    Its revision is the newest version of its parts, or the fence if that is later: so a receiver
    of its reference does not wait for unrelated writes. Raises NotFoundError if the cache knows
    that there is no live entry; for a snapshot it never does.
    """
    head = cache.lookup(ref.key, ref.revision, now)
    if head is None:
        return None
    if head.version == ABSENT:
        if digest.is_digest(ref.key):
            return None  # its Put may be on its way: only the store can tell
        raise NotFoundError(
            f"there is no live entry under {ref.key}",
            reason=Reason.NO_ENTRY,
            metadata={"key": ref.key.text},
        )
    if not head.has_layers:
        entry = head.entry or _entry(head)
    elif entry := _entry(head):
        # All are looked up, even after a miss, so that all are subscribed from now on.
        layers = [cache.lookup(key, ref.revision, now) for key in entry.context.includes]
        usable = [layer for layer in layers if layer is not None]
        # An absent layer may have existed when the head was written: the store must decide.
        is_complete = len(usable) == len(layers) and all(layer.version for layer in usable)
        entry = _composed_if_whole(cache, head, usable) if is_complete else None
    if entry is None or entry.revision >= ref.revision:
        return entry
    return _fenced(head, entry, ref.revision)


def entry(cache: NearCache, key: ContextKey, fence: int, now: float) -> ContextEntry | None:
    """The live entry under a key as it was put, or None if the store must be asked."""
    copy = cache.lookup(key, fence, now)
    return _entry(copy) if copy and copy.version != ABSENT else None


def is_ending(cache: NearCache, key: ContextKey, now: float) -> bool:
    """Whether the copy of a key ends soon: within a minute, or in the last quarter of its time."""
    copy = cache.last_known(key, now)
    return copy is not None and copy.deadline - now < min(60.0, copy.full_lifetime / 4)


def last_known(cache: NearCache, ref: ContextRef, now: float) -> ContextEntry | None:
    """The last composed entry that existed as a whole, marked as stale, or None.

    It keeps the fence of the reference: the next service may be able to reach that revision.
    """
    head = cache.last_known(ref.key, now)
    entry = _entry(head) if head else None
    if head and entry and entry.context.includes:
        layers = _last_known(cache, entry.context.includes, now)
        if layers is None:
            return None
        entry = _composed_if_whole(cache, head, layers)
        if entry is None:
            # One part is ahead of the others: the earlier composition existed as a whole.
            entry = head.composed
            if entry and _last_known(cache, entry.context.includes, now) is None:
                return None
    if entry is None:
        return None
    fenced = with_fence(entry, ref.revision)
    return replace(fenced, is_stale=True, source=ContextSource.LAST_KNOWN)


def cached_composition(
    cache: NearCache,
    key: ContextKey,
    versions: tuple[int, ...],
    now: float,
    signature: str | None = None,
) -> ContextEntry | None:
    """The cache's composition of exactly these versions (the entry's, then its layers'), or None.

    The store has answered that they existed together, so copies that may be stale suffice. Its
    `signature` of the entry, if given, replaces that of the copy, which is older.
    """
    head = cache.last_known(key, now)
    entry = _entry(head) if head and head.entry_version == versions[0] else None
    if head and entry and signature is not None and entry.signature != signature:
        entry = head.entry = replace(entry, signature=signature)
        head.composed = head.composed and replace(head.composed, signature=signature)
    if head is None or entry is None or not entry.context.includes:
        return entry
    layers = _last_known(cache, entry.context.includes, now)
    if layers is None or _versions(head, layers) != versions:
        return None
    return _composed(head, layers, versions)


def _last_known(cache: NearCache, keys: Sequence[ContextKey], now: float) -> Sequence[Copy] | None:
    """The copies of all keys, stale ones too, or None if one is missing, expired or invalidated."""
    copies = [copy for key in keys if (copy := cache.last_known(key, now))]
    return copies if len(copies) == len(keys) else None


def _entry(copy: Copy) -> ContextEntry | None:
    """The decoded entry of a copy, or None if it has not arrived or contradicts its digest."""
    if copy.serialized:
        message, copy.serialized = EntryMessage.FromString(copy.serialized), None
        try:
            entry = entry_from_message(message, copy.entry_version)
        except RelevoError:  # the store is asked next, and the same check raises to the caller
            return None
        copy.entry = replace(
            entry, key=copy.key, version=copy.entry_version, source=ContextSource.NEAR_CACHE
        )
    return copy.entry


def _fenced(copy: Copy, entry: ContextEntry, fence: int) -> ContextEntry:
    """The entry with the fence as its revision; the same object for all calls with that fence."""
    if copy.fenced is None or copy.fenced[0] is not entry or copy.fenced[1].revision != fence:
        copy.fenced = entry, with_fence(entry, fence)
    return copy.fenced[1]


def _composed_if_whole(cache: NearCache, head: Copy, layers: Sequence[Copy]) -> ContextEntry | None:
    """The head composed with these layers, or None unless they existed as of one revision (N9)."""
    versions = _versions(head, layers)
    # The last composition existed as a whole: its versions need no second check.
    if head.versions == versions or cache.is_whole([head, *layers]):
        return _composed(head, layers, versions)
    return None


def _versions(head: Copy, layers: Sequence[Copy]) -> tuple[int, ...]:
    return head.entry_version, *[layer.entry_version for layer in layers]


def _composed(head: Copy, layers: Sequence[Copy], versions: tuple[int, ...]) -> ContextEntry | None:
    """The head composed with these layers, or None if an entry has not arrived yet."""
    if head.versions != versions:
        whole = _entry(head)
        entries = tuple([entry for layer in layers if (entry := _entry(layer))])
        if whole is None or len(entries) < len(layers):
            return None
        head.composed = composed(replace(whole, layers=entries, revision=max(versions)))
        head.versions = versions
    return head.composed
