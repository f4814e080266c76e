"""Entries of the store, and how a context and what it includes become one."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from relevo_client._context import digest
from relevo_client._context.errors import IncompleteContextError
from relevo_client._context.frozen import FrozenDict
from relevo_client._context.keys import ContextKey, ContextRef
from relevo_client._context.model import SECTIONS, ExecutionContext, construct, unknown_of


@dataclass(frozen=True)
class ContextEntry:
    """What the store holds under a key, and as of when."""

    key: ContextKey
    """Its name."""
    context: ExecutionContext
    """What was put; from `resolve`, composed with what it includes."""
    version: int
    """The revision of the entry's last write."""
    revision: int
    """The revision that this answer is as of."""
    partition: int
    """The partition that the tenant lives in."""
    expire_time: datetime
    """When the entry will expire, by the server's clock."""
    ttl: timedelta
    """How long the entry still had to live when it was read."""
    layers: tuple["ContextEntry", ...] = ()
    """The included entries, in order, if they were asked for."""
    is_stale: bool = False
    """Whether this is the last known copy, for want of the store: it may be older than
    `revision`, which is then only the least that calls with its reference ask for."""

    @cached_property
    def ref(self) -> ContextRef:
        """The reference that makes others work with this, or something newer."""
        return ContextRef(self.key, self.revision)

    @cached_property
    def snapshot_key(self) -> ContextKey:
        """The key of its snapshot: a digest of all that it was composed from, and of the result.

        A snapshot is its own. Raises IncompleteContextError if a layer is missing.
        """
        if digest.is_digest(self.key):
            return self.key
        return digest.key_of(self.key.tenant_id, snapshot_context(self))


def composed(entry: ContextEntry) -> ContextEntry:
    """The entry with its context composed. Raises IncompleteContextError."""
    return replace(entry, context=_compose(entry))


def with_fence(entry: ContextEntry, fence: int) -> ContextEntry:
    """The entry with a reference that asks for no less than the fence."""
    return entry if entry.revision >= fence else replace(entry, revision=fence)


def snapshot_context(entry: ContextEntry) -> ExecutionContext:
    """The composed context as a snapshot holds it: it includes nothing, and says what it is of.

    Raises IncompleteContextError if a layer is missing.
    """
    context = _compose(entry)
    sources = tuple(ContextRef(each.key, each.version) for each in (entry, *entry.layers))
    fields = {**dict(context), "includes": (), "composed_from": sources}
    return construct(fields, unknown_of(context))


def _compose(head: ContextEntry) -> ExecutionContext:
    """The head's context over its layers, section by section, key by key.

    Layers count in the order of `includes`, the head last. Identity fields,
    times and `includes` are the head's own. Raises IncompleteContextError if
    a layer is missing.
    """
    context = head.context
    if not context.includes:
        return context
    layers = {layer.key: layer.context for layer in head.layers}
    missing = [str(key) for key in context.includes if key not in layers]
    if missing:
        raise IncompleteContextError(str(head.key), missing)
    parts = [*(layers[key] for key in context.includes), context]
    fields: dict[str, Any] = dict(context)
    for section in SECTIONS:
        merged: dict[str, Any] = {}
        for part in parts:
            merged.update(getattr(part, section))
        fields[section] = FrozenDict(merged)
    return construct(fields, unknown_of(context))
