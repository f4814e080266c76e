"""How the platform is wired: queues, kinds of actions, and what each process is told."""

import argparse
from collections.abc import Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Literal, Self, get_args

Mode = Literal["none", "redis-json", "relevo"]
MODES: Sequence[Mode] = get_args(Mode)

RUN_AGENT = "execution.agent_run"
EXECUTION_CALLBACK = "execution.callback"
GENERATE_EMBEDDING = "embedding.generate"
SEARCH = "query.search"


STALENESS = 2.0
"""Seconds for which the orchestrator may work with what it has, unless it hears of a change.
So a change that was put so long ago is seen by every turn that begins: who changes something
waits for that, and not everyone who reads."""


@dataclass(frozen=True)
class Wiring:
    """What a service's process is told: where the others are."""

    mode: Mode
    """Where the services have the configuration from."""
    queues: str
    """The Redis of the queues: its URL."""
    redis: str
    """The Redis of the configuration (`redis-json`, and the store's): its URL."""
    management: str
    """Agent management's base URL."""
    store: str = ""
    """The ContextStore's address (`relevo`)."""
    embedding: str = ""
    """The embedding service's replicas, as a gRPC target."""
    redeliver_after: float = 5.0
    """Seconds after which another worker takes over what one has begun."""
    turn_timeout: float = 30.0
    """Seconds that a turn may take."""

    @classmethod
    def parse(cls, arguments: Sequence[str] | None = None) -> Self:
        """Read a command line."""
        parser = argparse.ArgumentParser()
        for field in fields(cls):
            is_required = field.default is MISSING
            kind = float if field.type is float else str
            parser.add_argument(
                f"--{field.name}", type=kind, default=field.default, required=is_required
            )
        return cls(**vars(parser.parse_args(arguments)))

    def arguments(self) -> list[str]:
        """The command line for it."""
        return [f"--{name}={value}" for name, value in asdict(self).items()]
