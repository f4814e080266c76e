"""Counts and spans of the creation of entries: waits for leases, and calls of factories."""

import time
from types import TracebackType
from typing import Self

from opentelemetry.trace import SpanKind

from relevo_client._context.keys import ContextKey
from relevo_client._telemetry.counts import COUNTS
from relevo_client._telemetry.instruments import LEASE_WAIT_DURATION, OUTCOME, SCOPE, attributes
from relevo_client._telemetry.outcomes import outcome_of
from relevo_client._telemetry.spans import Spanned


class LeaseWait:
    """A `with` block that waits for a lease. The block sets `outcome` if it ends well."""

    __slots__ = ("_begun", "outcome")

    outcome: str
    """`granted` for a lease, `entry` if another one has created the entry."""

    def __enter__(self) -> Self:
        self._begun = time.perf_counter()
        return self

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        outcome = self.outcome if error is None else outcome_of(error)
        duration = time.perf_counter() - self._begun
        LEASE_WAIT_DURATION.record(duration, attributes((OUTCOME, outcome)))


class Creating(Spanned):
    """A `with` block that calls the factory of a key under a lease, and writes what it returns."""

    __slots__ = ()

    def __init__(self, key: ContextKey) -> None:
        super().__init__("relevo.create", SpanKind.INTERNAL, lambda: {SCOPE: key.scope})

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        COUNTS.creations[outcome_of(error)] += 1
        super().__exit__(kind, error, traceback)
