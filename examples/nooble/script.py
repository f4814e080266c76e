"""The script of the measured run: conversations in laps, with one change in each lap."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

from relevo_client import ContextKey
from relevo_demo import files

from nooble.configuration import AGENT


@dataclass(frozen=True)
class Talk:
    """A conversation of a user with an agent."""

    tenant_id: str
    agent_id: str
    conversation_id: str
    user_id: str

    @property
    def headers(self) -> dict[str, str]:
        """The headers that the frontend sends when it connects."""
        return {
            "X-Tenant-ID": self.tenant_id,
            "X-Agent-ID": self.agent_id,
            "X-Conversation-ID": self.conversation_id,
            "X-User-ID": self.user_id,
        }


@dataclass(frozen=True)
class Part:
    """The turns of a conversation that belong to one lap."""

    talk: Talk
    texts: Sequence[str]
    is_last: bool
    """Whether the conversation ends with this part."""


@dataclass(frozen=True)
class Lap:
    """A unit of the run that every mode plays in turn: parts of conversations, concurrently."""

    parts: Sequence[Part]
    changed: ContextKey
    changes: Mapping[str, Mapping[str, Any]]
    """The changes that agent management makes during the lap, by section and name."""

    @property
    def turns(self) -> int:
        """The number of turns of all parts."""
        return sum(len(part.texts) for part in self.parts)


def laps(count: int, turns: int) -> Iterator[Lap]:
    """Generate `count` laps. One long conversation of each agent has `turns` turns in every lap.

    In addition, two short conversations begin and end in each lap.
    """
    agents = files.script().conversations
    texts = [cycle(agent.turns) for agent in agents]
    for lap in range(count):
        parts = [
            Part(
                Talk(a.tenant_id, a.agent_id, f"long-{n}", a.user_id),
                list(islice(texts[n], turns)),
                is_last=lap == count - 1,
            )
            for n, a in enumerate(agents)
        ]
        for n in (lap % len(agents), (lap + 1) % len(agents)):
            agent = agents[n]
            talk = Talk(agent.tenant_id, agent.agent_id, f"short-{lap}-{n}", agent.user_id)
            parts.append(Part(talk, list(islice(texts[n], 3 + lap % 3)), is_last=True))
        changed = agents[lap % len(agents)]
        yield Lap(
            parts,
            ContextKey(AGENT, changed.tenant_id, changed.agent_id),
            {
                "llm_config": {"max_tokens": 40 + lap},
                "agent_config": {"answer_template": "{answer}"},
            },
        )
