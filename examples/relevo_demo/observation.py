"""A service's report on the context that it works with. Only the demo needs this."""

import json
import os
from typing import Any

from relevo.demo.v1.rag_platform_pb2 import Observation
from relevo_client import AsyncContextClient, ContextEntry, require_entry

from relevo_demo.waiting import waited


def observe(service: str, contexts: AsyncContextClient, *paths: str) -> Observation:
    """The process's view of the current context: key, revision, and settings by their paths.

    It also says where the context came from and how long the handler waited for it, and has the
    counts of the client's cache so far.
    """
    entry = require_entry()
    counts = contexts.cache_counts
    observation = Observation(
        service=service,
        pid=os.getpid(),
        context_key=str(entry.key),
        revision=entry.revision,
        cache_hits=counts.hits,
        cache_misses=counts.misses,
        cache_pushes=counts.pushes,
        context_source=entry.source,
        wait_seconds=waited(),
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
    """The entry that a setting comes from: the last layer with this value, else the head."""
    for layer in reversed(entry.layers):
        if getattr(layer.context, section).get(name) == value:
            return str(layer.key)
    return str(entry.key)
