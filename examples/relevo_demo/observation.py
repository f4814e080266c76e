"""What a service tells about the context that it works with. Only the demo needs this."""

import json
import os
from typing import Any

from relevo.demo.v1.rag_platform_pb2 import Observation
from relevo_client import ContextEntry, NoContextError, current_entry


def observe(service: str, *paths: str) -> Observation:
    """The current context as this process has it, and settings of it by their paths."""
    entry = current_entry()
    if entry is None:
        raise NoContextError
    observation = Observation(
        service=service, pid=os.getpid(), context_key=str(entry.key), revision=entry.revision
    )
    for path in paths:
        section, _, name = path.partition(".")
        value = getattr(entry.context, section)[name]
        observation.settings.add(
            path=path,
            value_json=json.dumps(value, sort_keys=True),
            source=_source(entry, section, name, value),
        )
    return observation


def _source(entry: ContextEntry, section: str, name: str, value: Any) -> str:
    """The entry that a setting is from: the last layer that has it so, else the head."""
    for layer in reversed(entry.layers):
        if getattr(layer.context, section).get(name) == value:
            return str(layer.key)
    return str(entry.key)
