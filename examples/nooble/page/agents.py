"""The agents that one can talk to, and how one names oneself to the platform."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Self
from urllib.parse import urlencode

from relevo_client import ContextKey
from relevo_demo import files

from nooble.configuration import AGENT, COLLECTION
from nooble.script import Talk

_LONGEST = 60
"""The characters that a name may have."""


@dataclass(frozen=True)
class Agent:
    """An agent of a tenant."""

    tenant_id: str
    agent_id: str
    name: str
    """Its name for people."""
    questions: Sequence[str]
    """The questions of the script's users."""

    @property
    def id(self) -> str:
        """Its name in the page's addresses: `meridian/support`."""
        return f"{self.tenant_id}/{self.agent_id}"

    @property
    def key(self) -> str:
        """The text form of its key."""
        return ContextKey(AGENT, self.tenant_id, self.agent_id).text


@cache
def agents() -> Mapping[str, Agent]:
    """All agents by their ids: those of the script's conversations first."""
    questions = {
        (talk.tenant_id, talk.agent_id): talk.turns for talk in files.script().conversations
    }
    configured = {
        (key.tenant_id, key.id): context.agent_config.get("display_name", key.id)
        for key, context in files.configurations().items()
        if key.scope == AGENT
    }
    found = [
        Agent(*names, str(configured[names]), questions.get(names, ()))
        for names in dict.fromkeys([*questions, *configured])
    ]
    return {each.id: each for each in found}


@cache
def collections_of(tenant_id: str) -> Sequence[str]:
    """The names of a tenant's collections."""
    keys = files.configurations()
    return [key.id for key in keys if (key.scope, key.tenant_id) == (COLLECTION, tenant_id)]


@dataclass(frozen=True)
class Visitor:
    """Who talks to whom, in which conversation."""

    agent: Agent
    user: str
    conversation: str

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Self:
        """The visitor in a page's address; what it does not say has a default."""
        agent = agents().get(query.get("agent", "")) or next(iter(agents().values()))
        return cls(
            agent,
            _name(query.get("user", "")) or "u-you",
            _name(query.get("conversation", "")) or f"c-{secrets.token_hex(3)}",
        )

    @property
    def query(self) -> str:
        """The part of the page's address that names it."""
        return urlencode(
            {"agent": self.agent.id, "user": self.user, "conversation": self.conversation}
        )

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers with which the platform's edge gets a conversation."""
        return Talk(self.agent.tenant_id, self.agent.agent_id, self.conversation, self.user).headers


def _name(text: str) -> str:
    """A name as a header may have it: visible characters of ASCII."""
    return "".join(c for c in text if "!" <= c <= "~")[:_LONGEST]
