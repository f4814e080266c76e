"""What a reference has become: an entry of the store, a rebuilt context, or nothing."""

from dataclasses import dataclass
from typing import TypeAlias

from relevo_client._context.entry import ContextEntry
from relevo_client._context.keys import ContextRef
from relevo_client._context.model import ExecutionContext


@dataclass(frozen=True)
class Rebuilt:
    """A context that the store has no entry of: made by a policy's function, or given in a test."""

    ref: ContextRef | None
    """What the call referred to, and what its own calls refer to."""
    context: ExecutionContext


Resolved: TypeAlias = ContextEntry | Rebuilt | None
