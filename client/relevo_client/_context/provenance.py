"""`Provenance`: the entries that a context was composed of, by which a value's entry is found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from relevo_client._context.hiding import hides
from relevo_client._context.keys import ContextKey


@hides("context")
class Part(NamedTuple):
    """An entry that contributed to a context."""

    key: ContextKey
    context: object
    """Its own context, as it was put; None if that is not known."""


@dataclass(frozen=True, eq=False)
class Provenance:
    """The entries that a context was composed of. Later parts replace values of earlier ones."""

    parts: Sequence[Part]

    @property
    def is_composed(self) -> bool:
        """Whether it has several parts whose own contexts are known."""
        return len(self.parts) > 1 and self.parts[0].context is not None

    def entries_of(self, section: str, name: str | None) -> tuple[str, ...]:
        """The text forms of the keys of the entries that a value may have come from.

        `section` is the field of the context, and `name` the key in it. If no part is known to
        have the value, and for None, these are all parts.
        """
        for part in reversed(self.parts):
            own: Mapping[str, Any] = getattr(part.context, section, {})
            if name in own:
                return (part.key.text,)
        return tuple(part.key.text for part in self.parts)


_ATTRIBUTE = "_provenance"
"""Not a field: models compare, serialize and iterate over their fields only."""


def record(context: object, parts: Sequence[Part]) -> None:
    """Record what a new context was composed of."""
    vars(context)[_ATTRIBUTE] = Provenance(parts)


def forget(context: object) -> None:
    """Forget what a context was composed of: its values were changed."""
    vars(context).pop(_ATTRIBUTE, None)


def provenance_of(context: object) -> Provenance | None:
    """The provenance of a context; None if it comes from no entry."""
    found: Provenance | None = vars(context).get(_ATTRIBUTE)
    return found
