"""The record of a probe: what the error of a write says about its effect."""

import pytest
from relevo_client import ContextKey, Reason, RelevoError
from relevo_probe.history import Part, Read, Write
from relevo_probe.metrics import Metrics
from relevo_probe.record import Record
from relevo_probe.rules import Check

KEY = ContextKey("relevo_probe", "probe-1", "head")


@pytest.mark.parametrize(
    "reason, expected",
    [
        (Reason.INVALID_FIELD, [Check.LATE_WRITE]),
        (Reason.CONTEXT_TOO_LARGE, [Check.LATE_WRITE]),
        (Reason.STORE_UNAVAILABLE, []),
        (Reason.TOO_MANY_REQUESTS, []),
        (Reason.UNAUTHENTICATED, []),
        (Reason.TENANT_DENIED, []),
    ],
)
def test_a_write_that_was_refused(reason: Reason, expected: list[Check]) -> None:
    """Only what each attempt of a call would be refused for proves that none had an effect.

    A call is repeated if its answer is lost. By then the rate may be exceeded, or the token or its
    tenants may have been taken away.
    """
    record = Record(max_staleness=2.0, call_timeout=2.0, metrics=Metrics())
    write = Write("put", KEY, 0.0, value=1)
    record.begin(write)
    record.end(write, RelevoError("refused", reason=reason))
    record.observe([Read("store", "store", write.begin, write.begin + 0.1, (Part(KEY, 10, 1),))])
    assert [each.check for each in record.found] == expected
