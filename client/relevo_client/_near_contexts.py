"""Contexts from the near cache: entries made once for each version, composed once for each set."""

from dataclasses import dataclass, replace

from relevo.v1.context_pb2 import ContextEntry as EntryMessage

from relevo_client._calls import composed, no_older
from relevo_client._errors import IncompleteContextError, NotFoundError
from relevo_client._keys import ContextKey, ContextRef
from relevo_client._messages import ContextEntry, entry_from_message
from relevo_client._near_cache import NearCache
from relevo_client._near_state import ABSENT, Copy


@dataclass(slots=True)
class _Made:
    """What was made of a copy's entry."""

    entry: ContextEntry
    composed: ContextEntry | None = None
    versions: tuple[int, ...] = ()
    """Of the layers that it was composed with."""


def resolve(cache: NearCache, ref: ContextRef, now: float) -> ContextEntry | None:
    """The entry with its context composed, where the cache may say; None where the store must.

    Its revision is the last one that made a difference to it, or the fence: who gets
    its reference waits for no writes that are not about it. Raises NotFoundError and
    IncompleteContextError, where that is known.
    """
    head = cache.lookup(ref.key, ref.revision, now)
    if head is None:
        return None
    if head.version == ABSENT:
        raise NotFoundError(
            f"there is no live entry under {ref.key}",
            reason="NO_ENTRY",
            metadata={"key": ref.key.text},
        )
    made = _made(head)
    if made is None:
        return None
    if made.entry.context.includes:
        return _with_layers(cache, ref, made, now)
    return no_older(made.entry, ref.revision)


def entry(cache: NearCache, key: ContextKey, now: float) -> ContextEntry | None:
    """The live entry under a key, as it was put, where the cache has it."""
    copy = cache.lookup(key, 0, now)
    made = _made(copy) if copy and copy.version != ABSENT else None
    return made.entry if made else None


def _with_layers(cache: NearCache, ref: ContextRef, made: _Made, now: float) -> ContextEntry | None:
    includes = made.entry.context.includes
    # All of them, so that all are watched from now on.
    layers = [cache.lookup(key, ref.revision, now) for key in includes]
    found = [layer for layer in layers if layer is not None]
    if len(found) < len(includes):
        return None
    missing = [layer.key.text for layer in found if layer.version == ABSENT]
    if missing:
        raise IncompleteContextError(ref.key.text, missing)
    composed_ = _composed(made, found)
    return composed_ and no_older(composed_, ref.revision)


def last_known(cache: NearCache, ref: ContextRef, now: float) -> ContextEntry | None:
    """The entry as it was known last, composed, and marked as stale; None where a part is not.

    It keeps the fence of the reference: what its user has not seen, others still may.
    """
    entry = held(cache, ref.key, now)
    return entry and replace(no_older(entry, ref.revision), is_stale=True)


def held(cache: NearCache, key: ContextKey, now: float) -> ContextEntry | None:
    """The entry as the cache has it, composed, whether it may be used or not; None for a part."""
    head = cache.last_known(key, now)
    made = _made(head) if head else None
    if made is None:
        return None
    includes = made.entry.context.includes
    layers = [layer for key in includes if (layer := cache.last_known(key, now))]
    if len(layers) < len(includes):
        return None
    return _composed(made, layers) if includes else made.entry


def _made(copy: Copy) -> _Made | None:
    if copy.serialized:
        message = EntryMessage.FromString(copy.serialized)
        made = entry_from_message(message, copy.held)
        copy.value, copy.serialized = _Made(replace(made, key=copy.key, version=copy.held)), None
    return copy.value if isinstance(copy.value, _Made) else None


def _composed(head: _Made, layers: list[Copy]) -> ContextEntry | None:
    """The head with these layers; None where one of them has not come yet."""
    versions = tuple([layer.held for layer in layers])
    if head.composed is None or head.versions != versions:
        entries = tuple(made.entry for layer in layers if (made := _made(layer)))
        if len(entries) < len(layers):
            return None
        revision = max(head.entry.revision, *versions)
        head.composed = composed(replace(head.entry, layers=entries, revision=revision))
        head.versions = versions
    return head.composed
