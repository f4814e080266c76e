"""What a run says at its end: exit codes, JSON, and quantiles of the staleness."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from relevo_client import ContextKey
from relevo_probe.distribution import BOUNDS, Distribution
from relevo_probe.rules import Check, Violation
from relevo_probe.summary import Summary

KEY = ContextKey("relevo_probe", "relevo-probe-1", "head")
TORN = Violation(Check.TORN, "blocking 0", KEY, 5.0, "10 ended before 20")


def summary(**changes: Any) -> Summary:
    """The summary of a run that has found nothing."""
    fields: dict[str, Any] = {
        "seconds": 60.0,
        "partitions": 4,
        "writes": 100,
        "answers": {"near_cache": 1000, "none": 20},
        "checks": {Check.TORN: 500},
        "violations": {},
        "found": [],
        "staleness": Distribution(),
        "failures": {},
    }
    return Summary(**{**fields, **changes})


@pytest.mark.parametrize(
    "changes, code, result",
    [
        ({}, 0, "ok"),
        ({"failures": {"STORE_UNAVAILABLE": 9}}, 0, "ok"),
        ({"violations": {Check.TORN: 1}}, 1, "violated"),
        ({"writes": 0}, 3, "unchecked"),
        ({"answers": {"store": 5, "none": 20}}, 3, "unchecked"),
    ],
    ids=["ok", "unavailable", "violated", "no write", "no near cache"],
)
def test_exit_codes(changes: dict[str, Any], code: int, result: str) -> None:
    """1 is a broken promise, 3 a store that was never there; what failed in between is neither."""
    assert summary(**changes).exit_code == code
    assert summary(**changes).document()["result"] == result


def test_the_document() -> None:
    """The summary is JSON, with every check and the first violations."""
    broken = summary(violations={Check.TORN: 2}, found=[(1.5, TORN)])
    document = json.loads(json.dumps(broken.document()))
    assert set(document["checks"]) == set(document["violations"]) == {each.value for each in Check}
    assert document["checks"]["torn"] == 500
    assert document["violations"]["torn"] == 2
    assert document["first_violations"] == [
        {
            "after_seconds": 1.5,
            "check": "torn",
            "reader": "blocking 0",
            "key": KEY.text,
            "text": TORN.text,
        }
    ]
    assert document["staleness_seconds"] == {"count": 0, "p50": None, "p99": None, "max": None}


def test_the_lines() -> None:
    """The table names each promise, what was found, and what has failed without being found."""
    text = "\n".join(summary(violations={Check.TORN: 2}, found=[(1.5, TORN)]).lines())
    assert all(check.value in text for check in Check)
    assert TORN.text in text
    assert "VIOLATED" in text
    text = "\n".join(summary(failures={"STORE_UNAVAILABLE": 9}).lines())
    assert "9 STORE_UNAVAILABLE" in text
    assert text.endswith("no violation")


@given(st.lists(st.floats(0, 20), min_size=1), st.sampled_from([0.5, 0.99, 1.0]))
def test_quantiles(times: list[float], share: float) -> None:
    """A quantile is not below the true one, and at most one bucket above it."""
    distribution = Distribution()
    for each in times:
        distribution.add(each)
    exact = sorted(times)[max(0, -(-len(times) * round(share * 100) // 100) - 1)]
    found = distribution.quantile(share)
    assert found is not None
    assert found >= exact
    assert found <= max(times)
    assert not any(exact <= bound < found for bound in BOUNDS)
