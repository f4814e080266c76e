"""The services' observations of each turn, and checks of them against the promises."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from relevo.demo.v1.rag_platform_pb2 import ConverseResponse, Observation
from relevo_client import CacheCounts, ContextRef

from relevo_demo.files import Change, Conversation
from relevo_demo.services import CHAIN


@dataclass(frozen=True)
class Setting:
    """A setting that a service used."""

    value: Any
    source: str
    """The key of the entry that it comes from."""


@dataclass(frozen=True)
class Seen:
    """One service's observation of the context in one turn."""

    service: str
    pid: int
    key: str
    revision: int
    settings: Mapping[str, Setting]
    """The settings by path, for example `llm_config.model`."""
    cache: CacheCounts
    """The counts of the process's cache so far."""
    context_source: str
    """The source of the context, as in `ContextEntry.source`."""
    wait: float
    """The seconds from the call's arrival until its handler had the context."""

    @classmethod
    def of(cls, message: Observation) -> "Seen":
        """Convert a service's message."""
        settings = {s.path: Setting(json.loads(s.value_json), s.source) for s in message.settings}
        cache = CacheCounts(message.cache_hits, message.cache_misses, message.cache_pushes)
        return cls(
            message.service,
            message.pid,
            message.context_key,
            message.revision,
            settings,
            cache,
            message.context_source,
            message.wait_seconds,
        )


@dataclass(frozen=True)
class Turn:
    """One turn of a conversation."""

    number: int
    tenant_id: str
    agent_id: str
    conversation_id: str
    text: str
    answer: str
    seen: tuple[Seen, ...]
    """In the order of the chain."""
    seconds: float
    """The duration of the turn, as its caller measured it."""

    @classmethod
    def of(
        cls,
        number: int,
        conversation: Conversation,
        text: str,
        message: ConverseResponse,
        seconds: float,
    ) -> "Turn":
        """Convert the response of a turn."""
        return cls(
            number,
            conversation.tenant_id,
            conversation.agent_id,
            conversation.conversation_id,
            text,
            message.text,
            tuple(map(Seen.of, message.observations)),
            seconds,
        )

    @property
    def keys(self) -> frozenset[str]:
        """The keys that the services worked with."""
        return frozenset(seen.key for seen in self.seen)

    @property
    def revisions(self) -> Sequence[int]:
        """The revision that each service worked with."""
        return [seen.revision for seen in self.seen]

    @property
    def fenced(self) -> bool:
        """Whether no service worked with an older context than its caller."""
        return all(callee >= caller for caller, callee in pairwise(self.revisions))

    def __str__(self) -> str:
        return f"turn {self.number} of {self.tenant_id}/{self.conversation_id}"


def problems_of(turn: Turn) -> Iterator[str]:
    """The ways in which a turn's services did not work with one and the same context."""
    services = tuple(seen.service for seen in turn.seen)
    if services != CHAIN:
        yield f"{turn}: passed through {services}, not {CHAIN}"
    if len({seen.pid for seen in turn.seen}) != len(turn.seen):
        yield f"{turn}: services share a process"
    if len(turn.keys) != 1:
        yield f"{turn}: services worked with different keys: {sorted(turn.keys)}"
    if not turn.fenced:
        yield f"{turn}: a service was behind its caller: revisions {turn.revisions}"


def problems_of_change(change: Change, put: ContextRef, before: Turn, after: Turn) -> Iterator[str]:
    """The ways in which a service did not use the changed settings in the agent's next turn."""
    unused = set(change.paths)
    for old, new in zip(before.seen, after.seen, strict=True):
        if new.revision < put.revision:
            yield f"{after}: {new.service} was behind the change"
        used = change.paths.keys() & new.settings.keys()
        if not used:
            yield f"{after}: {new.service} used nothing that was changed"
        unused -= used
        for path in sorted(used):
            if new.settings[path] != Setting(change.paths[path], str(put.key)):
                yield f"{after}: {new.service} did not use the new {path}"
        if any(old.settings[path] != new.settings[path] for path in old.settings.keys() - used):
            yield f"{after}: {new.service} saw a change that nobody made"
    for path in sorted(unused):
        yield f"{after}: no service used the new {path}"


def problems_of_constancy(before: Turn, after: Turn) -> Iterator[str]:
    """The services whose settings differ from one turn earlier without a change."""
    for old, new in zip(before.seen, after.seen, strict=True):
        if old.settings != new.settings:
            yield f"{after}: {new.service} saw a change that nobody made"
