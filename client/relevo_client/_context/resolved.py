"""The result of a resolution: an entry of the store, a rebuilt context, or None."""

from dataclasses import dataclass
from typing import TypeAlias

from relevo_client._context.entry import ContextEntry
from relevo_client._context.keys import ContextRef
from relevo_client._context.model import ExecutionContext


@dataclass(frozen=True)
class Rebuilt:
    """A context without an entry: made by a policy's function, or given to `use_context`."""

    ref: ContextRef | None
    """The reference that the call carried, which its own calls carry on; None if it had none."""
    context: ExecutionContext


Resolved: TypeAlias = ContextEntry | Rebuilt | None
