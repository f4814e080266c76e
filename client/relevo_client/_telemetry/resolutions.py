"""`Resolution`: counts and times a resolution that the near cache did not answer."""

import time
from types import TracebackType
from typing import Self

from relevo_client._context.errors import RelevoError
from relevo_client._context.reasons import Reason
from relevo_client._context.sources import ContextSource
from relevo_client._telemetry.counts import COUNTS
from relevo_client._telemetry.instruments import OUTCOME, RESOLUTION_DURATION, SOURCE, attributes


class Resolution:
    """A `with` block in which one context is resolved. Its duration counts if there was I/O.

    `source` is where the context comes from, as far as is known; the block can change it. Hits
    of the near cache are counted by the cache, and have no such block.
    """

    __slots__ = ("_begun", "source")

    def __init__(self, source: ContextSource) -> None:
        self.source = source

    def __enter__(self) -> Self:
        self._begun = time.perf_counter()
        return self

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        source, outcome = self.source.value, outcome_of(error)
        COUNTS.resolutions[source, outcome] += 1
        if self.source is not ContextSource.NEAR_CACHE:
            duration = time.perf_counter() - self._begun
            RESOLUTION_DURATION.record(duration, attributes((SOURCE, source), (OUTCOME, outcome)))


def outcome_of(error: BaseException | None) -> str:
    """The value of `relevo.outcome`: one of a bounded number, whatever a server sends."""
    if error is None:
        return "ok"
    if isinstance(error, RelevoError):
        return error.reason.lower() if isinstance(error.reason, Reason) else "other"
    # A task that was cancelled, or an exception of the user's own.
    return "error" if isinstance(error, Exception) else "cancelled"
