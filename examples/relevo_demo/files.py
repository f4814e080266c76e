"""Reads the demo's files: configurations, passages, and the script of the conversations."""

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
    """Raised if a file of the demo is malformed."""


class Conversation(BaseModel):
    """A scripted conversation of a user with an agent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tenant_id: str
    agent_id: str
    conversation_id: str
    user_id: str
    turns: tuple[str, ...]
    """The user's messages, one for each turn."""


class Change(BaseModel):
    """A change of one agent's configuration by its owner, and its time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tenant_id: str
    agent_id: str
    after_round: int
    """The round after which the change happens; a round is one turn of every conversation."""
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
    """The script of the demo."""

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


def brief(script: Script) -> Script:
    """The conversation of the changed agent alone, and the change after all of its turns.

    One more turn follows, which repeats the last message: the answer shows what has changed.
    """
    change = script.change
    (talk,) = (
        each
        for each in script.conversations
        if (each.tenant_id, each.agent_id) == (change.tenant_id, change.agent_id)
    )
    longer = talk.model_copy(update={"turns": (*talk.turns, talk.turns[-1])})
    later = change.model_copy(update={"after_round": len(talk.turns)})
    return Script(conversations=(longer,), change=later)


def configurations() -> dict[ContextKey, ExecutionContext]:
    """The configuration of every agent and every collection, by its key in the store."""
    contexts: dict[ContextKey, ExecutionContext] = {}
    for tenant in _sorted(_DATA / "tenants"):
        for scope, folder in ((AGENT, "agents"), (COLLECTION, "collections")):
            for file in _sorted(tenant / folder):
                name = file.name.removesuffix(".json")
                contexts[ContextKey(scope, tenant.name, name)] = _context(file)
    return contexts


def script() -> Script:
    """Load the script: the conversations, and the change between their turns."""
    file = _DATA / "script.json"
    try:
        return Script.model_validate_json(file.read_text("utf-8"))
    except ValueError as error:
        raise FileError(f"{file}: {error}") from None


@cache
def passages(tenant_id: str, collection_id: str) -> tuple[str, ...]:
    """The passages of a collection. A real platform has them in a vector database."""
    file = _DATA / "tenants" / tenant_id / "passages" / f"{collection_id}.txt"
    return tuple(" ".join(passage.split()) for passage in file.read_text("utf-8").split("\n\n"))


def _context(file: Traversable) -> ExecutionContext:
    try:
        return ExecutionContext.from_cache_dict(json.loads(file.read_text("utf-8")))
    except ValueError as error:
        raise FileError(f"{file}: {error}") from None


def _sorted(folder: Traversable) -> Iterator[Traversable]:
    yield from sorted(folder.iterdir(), key=lambda file: file.name)
