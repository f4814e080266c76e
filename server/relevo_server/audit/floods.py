"""Bounds the records of failures, which strangers can cause as fast as they can call.

In each interval the first failures of a kind have records of their own. The others are counted, and
the interval ends with a summary. Memory is bounded too: beyond so many kinds, all others count as
one. No clock, no I/O.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from relevo_server.audit.records import Event, Record, Subject


class _Kind(NamedTuple):
    """The common properties of failures that are counted together."""

    event: Event
    principal: str = ""
    host: str = ""
    method: str = ""
    status: str = ""
    reason: str = ""


@dataclass(slots=True)
class _Count:
    """The failures of a kind in an interval."""

    alone: int = 0
    """Those with records of their own."""
    others: int = 0


class Floods:
    """Counts the failures of an interval: `alone` of a kind have records, and `kinds` are kept."""

    def __init__(self, alone: int = 10, kinds: int = 256) -> None:
        self._alone = alone
        self._max_kinds = kinds
        self._counts: dict[_Kind, _Count] = {}

    def __len__(self) -> int:
        return len(self._counts)

    def admits(self, record: Record, *, is_repeated: bool = False) -> bool:
        """Count a failure. Returns whether it has a record of its own.

        One that is repeated has none.
        """
        kind = _kind_of(record)
        is_kept = kind in self._counts or len(self._counts) < self._max_kinds
        if not is_kept:
            kind = _Kind(record.event)
        count = self._counts.setdefault(kind, _Count())
        is_alone = is_kept and not is_repeated and count.alone < self._alone
        count.alone += is_alone
        count.others += not is_alone
        return is_alone

    def end(self, now: float) -> Sequence[Record]:
        """End an interval: a summary for each kind that has failures without a record."""
        counts, self._counts = self._counts, {}
        return [
            Record(
                *(kind.event, now, kind.method, kind.principal, kind.host, Subject()),
                status=kind.status,
                reason=kind.reason,
                count=count.others,
            )
            for kind, count in counts.items()
            if count.others
        ]


def _kind_of(record: Record) -> _Kind:
    return _Kind(
        *(record.event, record.principal, host_of(record.peer)),
        *(record.method, record.status, record.reason),
    )


def host_of(peer: str) -> str:
    """The address of a peer without its port: each connection has another one."""
    host, _, port = peer.rpartition(":")
    return host if port.isdecimal() else peer
