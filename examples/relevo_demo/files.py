"""What the demo reads: configurations, passages, and the script of the conversations."""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, model_validator
from relevo_client import ContextKey, ExecutionContext

AGENT = "agent_config"
COLLECTION = "collection_config"
_DATA = resources.files("relevo_demo") / "data"


class FileError(Exception):
    """A file of the demo is not what it should be."""


class Conversation(BaseModel):
    """A scripted conversation of a user with an agent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tenant_id: str
    agent_id: str
    conversation_id: str
    user_id: str
    turns: tuple[str, ...]
    """What the user says, turn by turn."""


class Change(BaseModel):
    """What the owner changes in the configuration of one agent, and when."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tenant_id: str
    agent_id: str
    after_round: int
    """A round is one turn of every conversation."""
    changes: dict[str, dict[str, Any]]
    """New values, by section and name."""

    @property
    def paths(self) -> Mapping[str, Any]:
        """New values by path, for example `llm_config.model`."""
        return {
            f"{section}.{name}": value
            for section, values in self.changes.items()
            for name, value in values.items()
        }


class Script(BaseModel):
    """What happens in the demo."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    conversations: tuple[Conversation, ...]
    change: Change

    @model_validator(mode="after")
    def _change_is_seen(self) -> Self:
        changed = (self.change.tenant_id, self.change.agent_id)
        if not any(
            (c.tenant_id, c.agent_id) == changed and 0 < self.change.after_round < len(c.turns)
            for c in self.conversations
        ):
            raise ValueError("the changed agent has no turn before and after the change")
        return self


def configurations() -> dict[ContextKey, ExecutionContext]:
    """The configuration of every agent and every collection, by its key in the store."""
    found: dict[ContextKey, ExecutionContext] = {}
    for tenant in _sorted(_DATA / "tenants"):
        for scope, folder in ((AGENT, "agents"), (COLLECTION, "collections")):
            for file in _sorted(tenant / folder):
                name = file.name.removesuffix(".json")
                found[ContextKey(scope, tenant.name, name)] = _context(file)
    return found


def script() -> Script:
    """The conversations, and the change in the midst of them."""
    file = _DATA / "script.json"
    try:
        return Script.model_validate_json(file.read_text("utf-8"))
    except ValueError as error:
        raise FileError(f"{file}: {error}") from None


@cache
def passages(tenant_id: str, collection_id: str) -> tuple[str, ...]:
    """The text of a collection, which a real platform has in a database of vectors."""
    file = _DATA / "tenants" / tenant_id / "passages" / f"{collection_id}.txt"
    return tuple(" ".join(passage.split()) for passage in file.read_text("utf-8").split("\n\n"))


def _context(file: Traversable) -> ExecutionContext:
    try:
        return ExecutionContext.from_cache_dict(json.loads(file.read_text("utf-8")))
    except ValueError as error:
        raise FileError(f"{file}: {error}") from None


def _sorted(folder: Traversable) -> Iterator[Traversable]:
    yield from sorted(folder.iterdir(), key=lambda file: file.name)
