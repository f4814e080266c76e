"""The newest changes of a selection, counted exactly, or by an estimate if they come too fast."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from relevo.admin.v1 import admin_pb2

from relevo_console.views.changes import Row, Selection, row

SHOWN = 100
"""The most rows of a page."""
_MEASURED = 1000
"""Changes whose times are kept to measure the rate."""


@dataclass(frozen=True)
class Update:
    """The content of a page."""

    rows: Sequence[Row]
    """The newest first."""
    count: int
    """The changes since the page was opened."""
    is_estimate: bool
    """Whether `count` is partly estimated, since not every change was asked for."""
    rate: float
    """Changes a second, lately."""
    has_gap: bool
    """Whether earlier changes are no longer known."""
    problem: str = ""
    """Why nothing is heard now, "" if all is well."""


class Recent:
    """The newest changes. It does no I/O, and is told the time in seconds."""

    def __init__(self, selection: Selection) -> None:
        self._selection = selection
        self._rows: deque[Row] = deque(maxlen=SHOWN)
        self._times: deque[float] = deque(maxlen=_MEASURED)
        self._count = 0
        self._is_estimate = False
        self._has_gap = False
        self._rate = 0.0
        self.after = 0
        """The revision of the last change that was heard of."""

    def add(self, response: admin_pb2.ChangesResponse, now: float, *, is_new: bool = True) -> None:
        """Add a change. `is_new` tells that it happened while the page was open."""
        self._has_gap |= response.gap
        if not response.HasField("change"):
            return
        change = response.change
        self.after = max(self.after, change.revision)
        if is_new:
            self._times.append(now)
        if self._selection.names(change):
            self._rows.append(row(change))
            self._count += is_new

    @property
    def is_full(self) -> bool:
        """Whether there are as many rows as a page shows."""
        return len(self._rows) == SHOWN

    @property
    def density(self) -> float:
        """Changes a second among the rows, by the times at which they were written."""
        if len(self._rows) < 2:
            return 0.0
        took = (self._rows[-1].time - self._rows[0].time).total_seconds()
        return (len(self._rows) - 1) / max(took, 0.001)

    def measured(self, now: float) -> float:
        """Changes a second: those of the last second."""
        self._rate = float(sum(now - each <= 1.0 for each in self._times))
        return self._rate

    def add_page(
        self, responses: Sequence[admin_pb2.ChangesResponse], limit: int, elapsed: float, now: float
    ) -> float:
        """Add what one question brought, and return the changes a second.

        As many as the limit are the last of more: their own times tell how many there were.
        """
        before = self._count
        for response in responses:
            self.add(response, now)
        changes = [each.change for each in responses if each.HasField("change")]
        self._rate = len(changes) / elapsed
        if len(changes) < limit:
            return self._rate
        took = (changes[-1].time.ToMicroseconds() - changes[0].time.ToMicroseconds()) / 1e6 or 0.001
        total = max(len(changes), round((len(changes) - 1) / took * elapsed))
        share = (self._count - before) / len(changes)
        self._count = before + round(total * share)
        self._rate = total / elapsed
        self._is_estimate = True
        return self._rate

    def update(self, problem: str = "") -> Update:
        """The content to show now."""
        rows = list(reversed(self._rows))
        return Update(rows, self._count, self._is_estimate, self._rate, self._has_gap, problem)
