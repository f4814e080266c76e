"""Partitions: their logs, and how far the server has read them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from relevo.admin.v1.admin_pb2 import Partition

from relevo_console.views.composition import written


@dataclass(frozen=True)
class Row:
    """One partition."""

    number: int
    revision: int
    last: datetime | None
    """The time of the last write, None if there was none."""
    events: int
    first: datetime | None
    """The time of the log's oldest event: changes are known as far back."""
    state: str
    """The state of the server's following: a key of `look.STATES`."""
    watchers: int


def rows(partitions: Sequence[Partition]) -> list[Row]:
    """The view of partitions."""
    return [
        Row(
            each.number,
            each.revision,
            written(each.revision) if each.revision else None,
            each.log_length,
            written(each.first_revision) if each.first_revision else None,
            _state(each),
            each.watchers,
        )
        for each in partitions
    ]


def _state(partition: Partition) -> str:
    if not partition.followed:
        return "stopped"
    return "behind" if partition.followed_revision < partition.revision else "current"
