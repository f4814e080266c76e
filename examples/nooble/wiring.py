"""The platform's wiring: its queues, and the addresses that each process gets."""

import argparse
from collections.abc import Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Literal, Self, get_args

from nooble.ports import ANYWHERE

Mode = Literal["none", "redis-json", "relevo"]
MODES: Sequence[Mode] = get_args(Mode)

RUN_AGENT = "execution.agent_run"
EXECUTION_CALLBACK = "execution.callback"
GENERATE_EMBEDDING = "embedding.generate"
SEARCH = "query.search"


STALENESS = 0.75
"""Seconds for which an orchestrator may use a cached entry without a sign of life.
So every turn that begins sees a change that was put so long ago: the writer waits for that,
and readers need not. A store's signs of life take up to 0.6 s, so no shorter time makes sense."""


@dataclass(frozen=True)
class Wiring:
    """The addresses and options that a service's process gets on its command line."""

    mode: Mode
    """The source of the services' configuration."""
    queues: str
    """The URL of the queues' Redis."""
    redis: str
    """The URL of the configuration's Redis (of `redis-json`, and of the store)."""
    management: str
    """Agent management's base URL."""
    store: str = ""
    """The ContextStore's replicas, as a gRPC target (`relevo`)."""
    embedding: str = ""
    """The embedding service's replicas, as a gRPC target."""
    listen: str = ANYWHERE
    """The address on which a service with a gRPC server listens; port 0 for a free one."""
    observer: str = ""
    """The address to which services send what they do in each step of a turn, "" for nobody."""
    redeliver_after: float = 5.0
    """Seconds after which another worker takes over an unfinished action."""
    turn_timeout: float = 30.0
    """Seconds that a turn may take."""

    @classmethod
    def parse(cls, arguments: Sequence[str] | None = None) -> Self:
        """Parse a command line."""
        parser = argparse.ArgumentParser()
        for field in fields(cls):
            is_required = field.default is MISSING
            kind = float if field.type is float else str
            parser.add_argument(
                f"--{field.name}", type=kind, default=field.default, required=is_required
            )
        return cls(**vars(parser.parse_args(arguments)))

    def arguments(self) -> list[str]:
        """The command line that `parse` reads."""
        return [f"--{name}={value}" for name, value in asdict(self).items()]
