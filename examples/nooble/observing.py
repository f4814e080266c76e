"""What the services saw in a turn: each says which state of the configuration it worked with."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from relevo.demo.v1.rag_platform_pb2 import Observation

from nooble.configuration import versions_of
from nooble.settings import Settings

SEEN = "seen"
"""Where an action's metadata has what was seen so far."""


@dataclass(frozen=True)
class Seen:
    """What one service saw in one step of a turn."""

    service: str
    pid: int
    versions: Mapping[str, int]
    """Of each configuration that it worked with, by key."""
    store_calls: int = 0
    """How often its process has called the store so far."""

    @classmethod
    def of(cls, service: str, settings: Settings, store_calls: int) -> Self:
        """What this process sees."""
        return cls(service, os.getpid(), versions_of(settings.metadata), store_calls)

    def to_message(self) -> Observation:
        """For an answer through gRPC."""
        message = Observation(service=self.service, pid=self.pid, cache_misses=self.store_calls)
        for key, version in self.versions.items():
            message.settings.add(path=key, value_json=json.dumps(version))
        return message

    @classmethod
    def from_message(cls, message: Observation) -> Self:
        """What such an answer tells."""
        versions = {each.path: json.loads(each.value_json) for each in message.settings}
        return cls(message.service, message.pid, versions, message.cache_misses)


def adding(metadata: Mapping[str, Any], *seen: Seen) -> dict[str, Any]:
    """An action's metadata with what was seen in one more step."""
    return {**metadata, SEEN: [*metadata.get(SEEN, ()), *map(asdict, seen)]}


def all_of(steps: Sequence[Mapping[str, Any]]) -> Iterator[Seen]:
    """What the services saw in the steps of a turn."""
    for step in steps:
        yield Seen(**step)
