"""The services' observations in a turn: the versions of the configuration that each used."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from relevo.demo.v1.rag_platform_pb2 import Observation

from nooble.configuration import versions_of
from nooble.counting import CountedChannel
from nooble.settings import Settings

SEEN = "seen"
"""The key of an action's metadata that has the observations so far."""


@dataclass(frozen=True)
class Seen:
    """One service's observation in one step of a turn."""

    service: str
    pid: int
    versions: Mapping[str, int]
    """The version of each configuration that the service used, by key."""
    store_calls: int = 0
    """The number of calls from its process to the store so far."""
    first_calls: int = 0
    """Those of them that belong to the first turns of conversations."""

    @classmethod
    def of(cls, service: str, settings: Settings, store: CountedChannel | None) -> Self:
        """The observation of this process, whose channel to the store is `store`."""
        calls = (store.calls, store.first_calls) if store else (0, 0)
        return cls(service, os.getpid(), versions_of(settings.metadata), *calls)

    def to_message(self) -> Observation:
        """Convert to a message for a gRPC response."""
        message = Observation(
            service=self.service,
            pid=self.pid,
            cache_misses=self.store_calls,
            first_misses=self.first_calls,
        )
        for key, version in self.versions.items():
            message.settings.add(path=key, value_json=json.dumps(version))
        return message

    @classmethod
    def from_message(cls, message: Observation) -> Self:
        """Convert from a message of a gRPC response."""
        versions = {each.path: json.loads(each.value_json) for each in message.settings}
        calls = message.cache_misses, message.first_misses
        return cls(message.service, message.pid, versions, *calls)


def adding(metadata: Mapping[str, Any], *seen: Seen) -> dict[str, Any]:
    """An action's metadata with the observations of one more step."""
    return {**metadata, SEEN: [*metadata.get(SEEN, ()), *map(asdict, seen)]}


def all_of(steps: Sequence[Mapping[str, Any]]) -> Iterator[Seen]:
    """The observations in the steps of a turn."""
    for step in steps:
        yield Seen(**step)
