"""`Resolution`: counts and times a resolution that the near cache did not answer."""

import time
from types import TracebackType
from typing import Self

from relevo_client._context.sources import ContextSource
from relevo_client._telemetry.counts import COUNTS
from relevo_client._telemetry.instruments import OUTCOME, RESOLUTION_DURATION, SOURCE, attributes
from relevo_client._telemetry.outcomes import outcome_of


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
