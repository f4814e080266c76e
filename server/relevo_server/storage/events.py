"""The events of a partition's log."""

from collections.abc import Sequence
from enum import Enum
from typing import Literal, NamedTuple

from relevo_server.keys import Key

WHOLE = ("*",)
"""`Event.fields` of a Put of the whole context."""


class Event(NamedTuple):
    """One entry of a partition's log.

    `put`, `invalidate` and `release` (of a lease) name a key. `floor` names a tenant and
    one of its scopes, or '' for all: every entry at or below the event's revision is dead.
    `foreign` is a log entry that no Relevo server wrote; it has no effect.
    """

    revision: int
    kind: Literal["put", "invalidate", "release", "floor", "foreign"]
    key: Key | None = None
    tenant_id: str = ""
    scope: str = ""
    principal: str = ""
    """The name of the principal who wrote. "" if that server had no principals, or did not record
    them yet."""
    fields: tuple[str, ...] = ()
    """What a Put wrote: `*` for the whole context, or the paths of its mask. If these were too
    long to be recorded, the first ones and `*`. Empty if the event is no Put, or if a server wrote
    it that did not record them yet."""


class Gap(Enum):
    """The reason why a log does not continue from a position."""

    TRIMMED = "trimmed"
    """The events after it are no longer kept."""
    CHANGED = "changed"
    """The log is another one, or has lost the event at the position."""


class Tail(NamedTuple):
    """The events of a partition's log after a position."""

    revision: int  # the partition's last one, also if `events` end before it
    events: Sequence[Event]
    gap: Gap | None = None  # then there are no events


class LogPage(NamedTuple):
    """Events of a partition's log, the newest first."""

    events: Sequence[Event]
    revision: int
    """The partition's last one."""
    is_last: bool
    """Whether the log has no earlier events."""
    is_trimmed: bool
    """Whether the log is so long that earlier ones may have been dropped."""
