"""Entries of the store, and the composition of an entry with its layers."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from relevo_client._context import digest
from relevo_client._context.errors import IncompleteContextError
from relevo_client._context.frozen import FrozenDict
from relevo_client._context.keys import ContextKey, ContextRef
from relevo_client._context.model import ExecutionContext, construct, unknown_of
from relevo_client._context.paths import SECTIONS
from relevo_client._context.provenance import Part, provenance_of, record
from relevo_client._context.sources import ContextSource


@dataclass(frozen=True)
class ContextEntry:
    """A context under its key in the store, as of one revision."""

    key: ContextKey
    """The name of the entry."""
    context: ExecutionContext
    """The context as it was put; from `resolve`, composed with the entries that it includes."""
    version: int
    """The revision of the entry's last write."""
    revision: int
    """The revision as of which the store has answered."""
    partition: int
    """The number of the partition that holds the tenant's data."""
    expire_time: datetime
    """The time at which the entry expires, in UTC, by the server's clock."""
    ttl: timedelta
    """The time that the entry had left to live when it was read."""
    layers: tuple["ContextEntry", ...] = ()
    """The included entries, in the order of `includes`; `get` does not ask for them."""
    is_stale: bool = False
    """Whether this is the last known copy, returned because the store could not be asked. It may
    be older than `revision`, which is then only the fence of calls that carry its reference."""
    source: ContextSource = field(default=ContextSource.STORE, compare=False)
    """The source of the context. Entries that differ in this alone are equal."""
    signature: str = field(default="", compare=False, repr=False)
    """The store's signature of the reference; "" if the store signs none."""

    @cached_property
    def ref(self) -> ContextRef:
        """The ContextRef to this entry: a receiver works with this state or a newer one."""
        return ContextRef(self.key, self.revision, self.signature)

    @cached_property
    def snapshot_key(self) -> ContextKey:
        """The key of the entry's snapshot: a digest of its sources and of its composed context.

        For a snapshot it is its own key. Raises IncompleteContextError if a layer is missing.
        """
        if digest.is_digest(self.key):
            return self.key
        return digest.key_of(self.key.tenant_id, snapshot_context(self))


def composed(entry: ContextEntry) -> ContextEntry:
    """The entry with its context composed. Raises IncompleteContextError if a layer is missing."""
    return replace(entry, context=_compose(entry))


def with_fence(entry: ContextEntry, fence: int) -> ContextEntry:
    """The entry with a revision, and so a reference, that is at least the fence."""
    if entry.revision >= fence:
        return entry
    fenced = replace(entry, revision=fence)
    if "snapshot_key" in vars(entry):  # a digest, which does not depend on the fence
        vars(fenced)["snapshot_key"] = entry.snapshot_key
    return fenced


def snapshot_context(entry: ContextEntry) -> ExecutionContext:
    """The composed context of an entry's snapshot, without includes and with `composed_from`.

    Raises IncompleteContextError if a layer is missing.
    """
    context = _compose(entry)
    sources = tuple(ContextRef(each.key, each.version) for each in (entry, *entry.layers))
    fields = {**dict(context), "includes": (), "composed_from": sources}
    snapshot = construct(fields, unknown_of(context))
    if provenance := provenance_of(context):
        record(snapshot, provenance.parts)
    return snapshot


def _compose(head: ContextEntry) -> ExecutionContext:
    """The composition of the head's context with its layers, section by section, key by key.

    Later values replace earlier ones: layers in the order of `includes`, the head last. Identity
    fields, times and `includes` are the head's own. Raises IncompleteContextError if a layer is
    missing.
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
        fields[section] = _merged([own for part in parts if (own := getattr(part, section))])
    composition = construct(fields, unknown_of(context))
    earlier = provenance_of(context)
    if earlier and earlier.is_composed:  # its own values are those of its layers, too
        record(composition, earlier.parts)
    else:
        keys = (*context.includes, head.key)
        record(composition, [Part(key, part) for key, part in zip(keys, parts, strict=True)])
    return composition


def _merged(sections: Sequence[FrozenDict]) -> FrozenDict:
    """The sections that are not empty, later ones over earlier ones.

    A section that stands alone is the same object in all compositions, so what it was validated
    into serves them all.
    """
    if len(sections) == 1:
        return sections[0]
    merged: dict[str, Any] = {}
    for section in sections:
        merged.update(section)
    return FrozenDict(merged)
