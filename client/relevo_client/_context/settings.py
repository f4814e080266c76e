"""`settings`: a section of the current context, as a model of the user's."""

from typing import TypeVar

from pydantic import BaseModel

from relevo_client._context.current import require_context
from relevo_client._context.paths import default_section

_Model = TypeVar("_Model", bound=BaseModel)


def settings(model: type[_Model], section: str | None = None) -> _Model:
    """A section of the current context, validated into a pydantic model once per version.

    `section` is a section's name or path, as `ExecutionContext.section` takes it. Without it, it
    is the model's class attribute `context_section`, or else the class's name in snake case:
    `RagConfig` reads `rag_config`.

    Raises NoContextError as `require_context` does, InvalidSectionError as
    `ExecutionContext.section` does, and TypeError if the model names no section.
    """
    return require_context().section(section or default_section(model), model)
