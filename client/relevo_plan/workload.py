"""The load of a platform: the input of a plan."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Workload:
    """A platform at its busiest time."""

    conversations: int = 10_000
    """Conversations that go on at the same time."""
    turns_per_second: float = 170.0
    """Turns of all conversations together."""
    turns_per_conversation: float = 10.0
    """The turns of a conversation, from its beginning to its end."""
    is_sticky: bool = False
    """Whether all turns of a conversation begin in the same process. Otherwise any process of the
    first service begins a turn."""
    services: int = 5
    """The services that take part in a turn, with the one that begins it."""
    processes_per_service: int = 20
    """The processes of each service. Each has a near cache, and so one stream."""
    resolvers: int = 1
    """The services that ask for live contexts by key. The others work with the turn's snapshot."""
    layers: int = 3
    """The configurations that a conversation's context includes."""
    configurations: int = 100
    """All configurations together, of all tenants."""
    entry_bytes: int = 2048
    """The serialized size of one entry's context."""
    changes_per_second: float = 0.2
    """Changes of configurations."""
    puts_per_turn: float = 0.0
    """Writes of the conversation's own entry, in each turn."""
    has_riders: bool = True
    """Whether snapshots travel with calls, if they are small enough."""
    configuration_ttl: float = 600.0
    """Seconds after which a configuration ends unless it is put anew, in the last fifth of them."""
    snapshot_ttl: float = 1800.0
    """Seconds for which Redis keeps a snapshot that nobody uses."""
    cores: int = 4
    """The cores of a server: it runs a worker on each."""
    utilisation: float = 0.6
    """The share of a core that may be busy, of a server's and of Redis's: 0 to 1."""
    redis_bytes: int = 16 << 30
    """The memory that one Redis node may use."""
    link_bits: float = 10e9
    """The bits a second of a server's network."""

    @property
    def processes(self) -> int:
        """All processes with a near cache."""
        return self.services * self.processes_per_service

    @property
    def composed_bytes(self) -> int:
        """The size of a composed context."""
        return self.entry_bytes * (1 + self.layers)


def _times(factor: int) -> Workload:
    small = Workload()
    return Workload(
        conversations=small.conversations * factor,
        turns_per_second=small.turns_per_second * factor,
        processes_per_service=small.processes_per_service * factor,
        configurations=small.configurations * factor,
        changes_per_second=small.changes_per_second * factor,
    )


PRESETS: Mapping[str, Workload] = {"10k": Workload(), "100k": _times(10), "1m": _times(100)}
"""Platforms of ten thousand, a hundred thousand and a million conversations."""
