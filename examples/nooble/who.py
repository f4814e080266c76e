"""The identity for which work is done, and its form as headers and metadata."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, Protocol


class Who(Protocol):
    """An object with an identity: an action, a context, or an `Identity`."""

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
    """The identity that headers contain; "" for a missing part."""

    tenant_id: str = ""
    tenant_tier: str = ""
    agent_id: str = ""
    session_id: str = ""
    conversation_id: str = ""
    user_id: str = ""


IDENTITY = tuple(field.name for field in fields(Identity))
"""The names of the identity's parts, as actions have them."""


def identity_of(who: Who) -> dict[str, Any]:
    """The parts of an identity by name, as actions have them."""
    return {name: getattr(who, name) for name in IDENTITY}


def to_headers(who: Who) -> tuple[tuple[str, str], ...]:
    """The identity as HTTP headers or gRPC metadata."""
    return tuple((_header(name), value) for name, value in identity_of(who).items() if value)


def from_headers(headers: Iterable[tuple[str, str | bytes]]) -> Identity:
    """The identity in HTTP headers or gRPC metadata."""
    texts = {name.lower(): value for name, value in headers if isinstance(value, str)}
    return Identity(**{name: texts.get(_header(name), "") for name in IDENTITY})


def _header(name: str) -> str:
    return f"x-{name.replace('_', '-')}"
