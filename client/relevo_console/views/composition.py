"""A context in layers: every value with the entry and the version that it came from."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from relevo.admin.v1 import admin_pb2
from relevo_cli import keys, values
from relevo_cli.explained import explained_values
from relevo_client._context.digest import SCOPE as SNAPSHOT
from relevo_server import revisions

REDACTED = "[redacted]"
"""The placeholder of a secret, by the contract of `Explain`. The server's own constant needs the
packages of servers, which a console does not have; a test compares the two."""
TIMES = ("create_time", "update_time")
ORIGIN = ("composed_from", "includes")
"""The fields that name the parts of a context."""
_ELSEWHERE = {*TIMES, *ORIGIN}
"""The parts that pages show as layers and times, rather than as values."""


@dataclass(frozen=True)
class Layer:
    """One entry that a context was composed from."""

    number: int
    key: str
    version: int
    written: datetime
    """The time of its write, by the store's clock."""
    ttl: float
    """The seconds that it still lives."""
    is_later: bool
    """Whether it was written after the revision that was asked for."""


@dataclass(frozen=True)
class Value:
    """One value of a composed context."""

    path: str
    text: str
    """The value as JSON on one line."""
    layer: Layer | None
    """The entry that it came from; None if the store names none."""
    is_secret: bool
    """Whether the store has redacted it, wholly or in part."""


@dataclass(frozen=True)
class Composition:
    """A composed context, and what is known of its origin."""

    key: str
    scope: str
    tenant: str
    revision: int
    """It is as of this revision."""
    asked: int
    """The revision that was asked for, 0 for none."""
    layers: Sequence[Layer]
    """The entry itself is the last one; what it includes comes before, later ones win."""
    missing: Sequence[str]
    """Included keys without an entry."""
    values: Sequence[Value]
    sources: Sequence[tuple[str, int]]
    """Of a snapshot: the keys and versions of what it was made of, the original entry first."""

    @property
    def is_snapshot(self) -> bool:
        """Whether it never changes."""
        return self.scope == SNAPSHOT

    @property
    def later(self) -> Sequence[Layer]:
        """The layers that were written after the revision that was asked for."""
        return [layer for layer in self.layers if layer.is_later]


def composition(explained: admin_pb2.ExplainResponse, asked: int = 0) -> Composition:
    """The view of an explained context. `asked` is the revision of a reference, 0 for none."""
    head = explained.entries[-1]
    layers = [
        Layer(
            number,
            keys.text(entry.key),
            entry.version,
            written(entry.version),
            entry.ttl.ToMicroseconds() / 1e6,
            # A snapshot never changes, whenever it was written.
            is_later=bool(asked) and entry.version > asked and entry.key.scope != SNAPSHOT,
        )
        for number, entry in enumerate(explained.entries)
    ]
    shown = [
        Value(
            each.path,
            text := values.text(each.value),
            None if each.entry is None else layers[each.entry],
            is_secret=f'"{REDACTED}"' in text,
        )
        for each in explained_values(explained)
        if each.path and each.path not in _ELSEWHERE
    ]
    return Composition(
        keys.text(head.key),
        head.key.scope,
        head.key.tenant_id,
        explained.revision,
        asked,
        layers,
        [keys.text(each) for each in explained.missing],
        shown,
        [(keys.text(each.key), each.revision) for each in explained.context.composed_from],
    )


def written(version: int) -> datetime:
    """The time of a version's write, by the store's clock. Revisions carry it."""
    return datetime.fromtimestamp(revisions.milliseconds(version) / 1000, UTC)
