"""Composition: a context and what it includes become one."""

from typing import Any

from relevo_client._errors import IncompleteContextError
from relevo_client._frozen import FrozenDict
from relevo_client._messages import ContextEntry
from relevo_client._model import SECTIONS, ExecutionContext, construct, unknown_of


def compose(head: ContextEntry) -> ExecutionContext:
    """The head's context over its layers, section by section, key by key.

    Layers count in the order of `includes`, the head last. Identity fields,
    times and `includes` are the head's own. Raises IncompleteContextError where
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
