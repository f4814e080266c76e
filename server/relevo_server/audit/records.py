"""Audit records. docs/observability.md has the same table."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple, TypeAlias

Fields: TypeAlias = Mapping[str, Any]
"""A record as JSON has it."""


class Event(StrEnum):
    """The kind of a record."""

    WRITE = "audit.write"
    """A Put or an Invalidate."""
    DENIAL = "audit.denial"
    """A call that its caller may not make: PERMISSION_DENIED."""
    AUTHENTICATION = "audit.authentication"
    """A call whose caller is not known: UNAUTHENTICATED."""
    ADMIN = "audit.admin"
    """A call of the Admin service, or of channelz."""
    RELOAD = "audit.reload"
    """Settings that were read again while the server runs."""

    @property
    def level(self) -> str:
        """The level at which it is logged."""
        return "warning" if self in FAILURES else "info"


FAILURES = frozenset({Event.DENIAL, Event.AUTHENTICATION})
"""The events that a stranger can cause: only a few in a row have records of their own."""


class Subject(NamedTuple):
    """The tenant, scope and key of a call; "" for each that it does not name."""

    tenant: str = ""
    scope: str = ""
    key: str = ""
    """The text form of the key."""


_NOTHING = Subject()


@dataclass(frozen=True, slots=True)
class Record:
    """One record. What is empty or 0 is left out of its fields."""

    event: Event
    time: float
    """Seconds since 1970."""
    method: str = ""
    """The name of the RPC."""
    principal: str = ""
    peer: str = ""
    """The address that the call came from; in a summary without its port."""
    subject: Subject = _NOTHING
    status: str = "OK"
    """The name of gRPC's status code."""
    reason: str = ""
    """The contract's reason of an error."""
    revision: int = 0
    changed: tuple[str, ...] = ()
    """The settings that a reload changed."""
    count: int = 0
    """In a summary, how many failures have no record of their own; else 0."""

    @property
    def fields(self) -> Fields:
        """The record as JSON has it, with its event, level and time in front."""
        subject = self.subject
        time = datetime.fromtimestamp(self.time, UTC).isoformat().replace("+00:00", "Z")
        fields = {
            "event": self.event.value,
            "level": self.event.level,
            "timestamp": time,
            "principal": self.principal,
            "peer": self.peer,
            "method": self.method,
            "tenant": subject.tenant,
            "scope": subject.scope,
            "key": subject.key,
            "status": self.status,
            "reason": self.reason,
            "revision": self.revision,
            "changed": list(self.changed),
            "count": self.count,
        }
        return {name: value for name, value in fields.items() if value}
