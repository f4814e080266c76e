"""The canaries of one tenant: their keys, what is written to them, and what an answer shows.

Pure. The keys are the run's own, so probes that run side by side on one store are not in each
other's way, and what a probe leaves behind ends with its time to live.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from relevo_client import ContextEntry, ContextKey, ExecutionContext, IncompleteContextError

from relevo_probe.history import Part
from relevo_probe.rules import FLOORED_SCOPE

SCOPE = "relevo_probe"


@dataclass(frozen=True)
class Canaries:
    """The keys of one tenant."""

    tenant_id: str
    run: str
    """The name of the run, which no other run has."""

    @cached_property
    def head(self) -> ContextKey:
        """An entry that includes the layers."""
        return self._key("head")

    @cached_property
    def layers(self) -> tuple[ContextKey, ContextKey]:
        """Two entries that the head includes. No Invalidate ends them."""
        return self._key("layer-a"), self._key("layer-b")

    @cached_property
    def ended(self) -> ContextKey:
        """An entry that an Invalidate ends again and again."""
        return self._key("ended")

    @cached_property
    def late(self) -> ContextKey:
        """An entry that is created under a lease, now and then under one that has ended."""
        return self._key("late", FLOORED_SCOPE)

    @cached_property
    def floored(self) -> ContextKey:
        """An entry that is below a floor again and again."""
        return self._key("floored", FLOORED_SCOPE)

    @cached_property
    def first(self) -> ContextKey:
        """An entry that is there before all others, to learn the tenant's partition."""
        return self._key("first")

    @cached_property
    def looked_up(self) -> tuple[ContextKey, ...]:
        """The keys that readers ask for; the layers come with the head."""
        return self.head, self.ended, self.late, self.floored

    def context(self, key: ContextKey, value: int, padding: int = 0) -> ExecutionContext:
        """The context of a Put: a number, and so many bytes more."""
        metadata: dict[str, Any] = {_slot(key): value}
        if padding:
            metadata["padding"] = "." * padding
        return ExecutionContext(metadata=metadata, includes=self.layers if key == self.head else ())

    def _key(self, name: str, scope: str = SCOPE) -> ContextKey:
        return ContextKey(scope, self.tenant_id, f"{self.run}.{name}")


def room_for(tenants: Sequence[Canaries]) -> int:
    """The number of entries that a near cache has if it has all that readers ask for."""
    return sum(len(each.looked_up) + len(each.layers) for each in tenants)


def parts_of(entry: ContextEntry) -> tuple[Part, ...]:
    """What an answer shows: the entry, and the layers that it is composed of."""
    return tuple(_parts(entry))


def missing_parts(error: IncompleteContextError) -> tuple[Part, ...]:
    """What the answer shows that a layer is missing: the first that is."""
    return (Part(ContextKey.parse(error.missing[0]), 0),)


def _parts(entry: ContextEntry) -> Iterator[Part]:
    for each in (entry, *entry.layers):
        value, shown = _value(each, each.key), _value(entry, each.key)
        yield Part(each.key, each.version, value, shown)


def _value(entry: ContextEntry, key: ContextKey) -> int | None:
    """The number that an entry's context shows for a key, or None if there is none."""
    value = entry.context.metadata.get(_slot(key))
    return value if isinstance(value, int) else None


def _slot(key: ContextKey) -> str:
    return key.id.rpartition(".")[2]
