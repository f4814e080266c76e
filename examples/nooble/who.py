"""For whom work is done, and how that is written where no action says it."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, Protocol


class Who(Protocol):
    """An action, a context, or what headers say."""

    @property
    def tenant_id(self) -> str:
        """The tenant."""
        ...

    @property
    def agent_id(self) -> str:
        """The agent."""
        ...

    @property
    def conversation_id(self) -> str:
        """The conversation."""
        ...


@dataclass(frozen=True)
class Identity:
    """What headers say."""

    tenant_id: str = ""
    tenant_tier: str = ""
    agent_id: str = ""
    session_id: str = ""
    conversation_id: str = ""
    user_id: str = ""


IDENTITY = tuple(field.name for field in fields(Identity))
"""What actions say about the one that they are for."""


def identity_of(who: Who) -> dict[str, Any]:
    """What actions say about the one that they are for, by name."""
    return {name: getattr(who, name) for name in IDENTITY}


def to_headers(who: Who) -> tuple[tuple[str, str], ...]:
    """The same as headers: of HTTP, or metadata of gRPC."""
    return tuple((_header(name), value) for name, value in identity_of(who).items() if value)


def from_headers(headers: Iterable[tuple[str, str | bytes]]) -> Identity:
    """What the headers say."""
    said = {name.lower(): value for name, value in headers if isinstance(value, str)}
    return Identity(**{name: said.get(_header(name), "") for name in IDENTITY})


def _header(name: str) -> str:
    return f"x-{name.replace('_', '-')}"
