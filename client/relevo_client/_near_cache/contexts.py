"""Contexts from the near cache: entries made once for each version, composed once for each set."""

from collections.abc import Sequence
from dataclasses import replace

from relevo.v1.context_pb2 import ContextEntry as EntryMessage

from relevo_client._context.codec import entry_from_message
from relevo_client._context.entry import ContextEntry, composed, with_fence
from relevo_client._context.errors import NotFoundError, RelevoError
from relevo_client._context.keys import ContextKey, ContextRef
from relevo_client._context.reasons import Reason
from relevo_client._near_cache.machine import NearCache
from relevo_client._near_cache.state import ABSENT, Copy


def resolve(cache: NearCache, ref: ContextRef, now: float) -> ContextEntry | None:
    """The entry with its context composed, or None if the store has to be asked.

    Its revision is the last one that made a difference to it, or the fence: who gets
    its reference waits for no writes that are not about it. Raises NotFoundError if there
    is known to be no such entry.
    """
    head = cache.lookup(ref.key, ref.revision, now)
    if head is None:
        return None
    if head.version == ABSENT:
        raise NotFoundError(
            f"there is no live entry under {ref.key}",
            reason=Reason.NO_ENTRY,
            metadata={"key": ref.key.text},
        )
    entry = _entry(head)
    if entry and entry.context.includes:
        # All of them, so that all are watched from now on.
        layers = [cache.lookup(key, ref.revision, now) for key in entry.context.includes]
        known = [layer for layer in layers if layer is not None]
        # One that is absent may have been there when the head was written: the store says.
        is_complete = len(known) == len(layers) and all(layer.version for layer in known)
        entry = _composed_if_whole(cache, head, known) if is_complete else None
    return entry and with_fence(entry, ref.revision)


def entry(cache: NearCache, key: ContextKey, now: float) -> ContextEntry | None:
    """The live entry under a key, as it was put, if the cache has it."""
    copy = cache.lookup(key, 0, now)
    return _entry(copy) if copy and copy.version != ABSENT else None


def last_known(cache: NearCache, ref: ContextRef, now: float) -> ContextEntry | None:
    """The entry as it was last known as a whole, composed, and marked as stale; else None.

    It keeps the fence of the reference: what its user has not seen, others still may.
    """
    head = cache.last_known(ref.key, now)
    entry = _entry(head) if head else None
    if head and entry and entry.context.includes:
        layers = _last_known(cache, entry.context.includes, now)
        if layers is None:
            return None
        entry = _composed_if_whole(cache, head, layers)
        if entry is None:
            # A part is ahead of the others: what was composed before them existed as a whole.
            entry = head.composed
            if entry and _last_known(cache, entry.context.includes, now) is None:
                return None
    return entry and replace(with_fence(entry, ref.revision), is_stale=True)


def cached_composition(
    cache: NearCache, key: ContextKey, versions: tuple[int, ...], now: float
) -> ContextEntry | None:
    """The composition of just these versions, of the entry and its layers, if the cache has it.

    The caller knows that they existed together, so untrusted copies will do.
    """
    head = cache.last_known(key, now)
    entry = _entry(head) if head and head.entry_version == versions[0] else None
    if head is None or entry is None or not entry.context.includes:
        return entry
    layers = _last_known(cache, entry.context.includes, now)
    if layers is None or _versions(head, layers) != versions:
        return None
    return _composed(head, layers, versions)


def _last_known(cache: NearCache, keys: Sequence[ContextKey], now: float) -> Sequence[Copy] | None:
    """The copies of all keys, trusted or not; None if one is not known, or has ended."""
    copies = [copy for key in keys if (copy := cache.last_known(key, now))]
    return copies if len(copies) == len(keys) else None


def _entry(copy: Copy) -> ContextEntry | None:
    """The entry of a copy; None if it has not come yet, or is not the snapshot that it names."""
    if copy.serialized:
        message, copy.serialized = EntryMessage.FromString(copy.serialized), None
        try:
            made = entry_from_message(message, copy.entry_version)
        except RelevoError:  # the store is asked, and its answer is refused as well
            return None
        copy.entry = replace(made, key=copy.key, version=copy.entry_version)
    return copy.entry


def _composed_if_whole(cache: NearCache, head: Copy, layers: Sequence[Copy]) -> ContextEntry | None:
    """The head with these layers; None if they are not the store's as of one revision."""
    versions = _versions(head, layers)
    # What was composed before existed as a whole: no need to look again.
    if head.versions == versions or cache.is_whole([head, *layers]):
        return _composed(head, layers, versions)
    return None


def _versions(head: Copy, layers: Sequence[Copy]) -> tuple[int, ...]:
    return head.entry_version, *[layer.entry_version for layer in layers]


def _composed(head: Copy, layers: Sequence[Copy], versions: tuple[int, ...]) -> ContextEntry | None:
    """The head with these layers; None if one of them has not come yet."""
    if head.versions != versions:
        whole = _entry(head)
        entries = tuple([entry for layer in layers if (entry := _entry(layer))])
        if whole is None or len(entries) < len(layers):
            return None
        head.composed = composed(replace(whole, layers=entries, revision=max(versions)))
        head.versions = versions
    return head.composed
