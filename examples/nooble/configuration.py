"""The configurations of agents and collections, which agent management owns.

Each configuration has its version in its `metadata`, under its key's text form, so a service
can report the versions of the configurations that it works with.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, get_args

from pydantic import TypeAdapter
from relevo_client import ContextKey, ExecutionContext

AGENT = "agent_config"
COLLECTION = "collection_config"
Section = Literal[
    "llm_config", "embedding_config", "rag_config", "agent_config", "metadata", "rate_limits"
]
SECTIONS: Sequence[Section] = get_args(Section)
Changes = Mapping[str, Mapping[str, Any]]
"""New values, by section and name."""
_SECRET = re.compile(r"(^|_)(api_?key|private_?key|secret|password|credentials?|auth_token)s?$")
_CHANGES = TypeAdapter(Mapping[Section, Mapping[str, Any]])


class UnknownError(LookupError):
    """Raised if an agent or a collection does not exist."""


class Configurations:
    """The configurations of all tenants, in memory."""

    def __init__(self, configurations: Mapping[ContextKey, ExecutionContext]) -> None:
        self._all = {
            key: context.update(metadata={**context.metadata, key.text: 1})
            for key, context in configurations.items()
        }

    def get(self, key: ContextKey) -> ExecutionContext:
        """One configuration. Raises UnknownError."""
        try:
            return self._all[key]
        except KeyError:
            raise UnknownError(key.text) from None

    def composed(self, agent: ContextKey) -> ExecutionContext:
        """An agent's configuration, composed with its collections'. Raises UnknownError."""
        head = self.get(agent)
        parts = [*(self.get(key) for key in collections_of(agent, head)), head]
        return head.update(**{section: _merged(parts, section) for section in SECTIONS})

    def change(self, key: ContextKey, changes: Changes) -> ExecutionContext:
        """Change values of one configuration, and return it. Raises UnknownError and ValueError."""
        before = self.get(key)
        new_values = _CHANGES.validate_python(changes)
        sections = {name: {**getattr(before, name), **new} for name, new in new_values.items()}
        version = {key.text: before.metadata[key.text] + 1}
        metadata = {**sections.pop("metadata", before.metadata), **version}
        self._all[key] = before.update(**sections, metadata=metadata)
        return self._all[key]


def collections_of(agent: ContextKey, context: ExecutionContext) -> Iterator[ContextKey]:
    """The keys of the collections that an agent searches."""
    for name in context.rag_config["collections"]:
        yield ContextKey(COLLECTION, agent.tenant_id, name)


def is_secret(name: str) -> bool:
    """Whether a setting's name marks its value as a secret, which nobody is shown."""
    return bool(_SECRET.search(name.lower()))


def versions_of(metadata: Mapping[str, Any]) -> dict[str, int]:
    """The versions, by key, of the configurations that settings were composed of."""
    scopes = (f"{AGENT}:", f"{COLLECTION}:")
    return {key: version for key, version in metadata.items() if key.startswith(scopes)}


def _merged(parts: list[ExecutionContext], section: str) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for part in parts:
        merged.update(getattr(part, section))
    return merged
