"""Numbers on the command line: those that cannot be meant are refused before anything is sent."""

import pytest
from support.servers.outcome import Relevo

KEY = "agent_config:acme:support"
TOO_LARGE = str(1 << 63)
DIGITS = "9" * 5000
"""More digits than Python reads."""


@pytest.mark.parametrize(
    "words",
    [
        ("changes", "acme", "--after", "-1"),
        ("changes", "acme", "--after", TOO_LARGE),
        ("changes", "acme", "--limit", "0"),
        ("changes", "acme", "--limit", "10001"),
        ("changes", "acme", "--limit", TOO_LARGE),
        ("tenants", "--limit", "x"),
        ("tenants", "--limit", "0"),
        ("watch", KEY, "--count", "0"),
        ("watch", KEY, "--count", DIGITS),
        ("top", "--once", "--interval", "-1"),
        ("top", "--once", "--interval", "nan"),
        ("get", KEY, "--timeout", "nan"),
        ("get", KEY, "--timeout", "inf"),
        ("get", KEY, "--timeout", "1e10"),
        ("get", KEY, "--timeout", "0"),
        ("put", KEY, "--if-version", TOO_LARGE),
        ("put", KEY, "--ttl", "0"),
        ("probe", "--partitions", DIGITS),
        ("probe", "--max-staleness", "nan"),
        ("probe", "--max-rate", "inf"),
        ("probe", "--for", "1e9h"),
        ("probe", "--for", "s"),
        ("demo", "--laps", "0"),
    ],
)
def test_what_is_no_such_number(relevo: Relevo, words: tuple[str, ...]) -> None:
    """Numbers that are malformed, too small or too large are wrong usage that names the option."""
    outcome = relevo(*words)
    assert (outcome.code, outcome.out) == (2, "")
    option = next(word for word in reversed(words) if word.startswith("--"))
    assert f"argument {option}: must be a" in outcome.message


@pytest.mark.parametrize(
    "words",
    [
        ("changes", "acme", "--after", str((1 << 63) - 1)),
        ("changes", "acme", "--limit", "10000"),
        ("tenants", "--limit", "100"),
        ("tenants", "--timeout", "1e9"),
        ("top", "--once", "--interval", "0.1"),
    ],
)
def test_the_extremes(relevo: Relevo, words: tuple[str, ...]) -> None:
    """The smallest and the largest number are accepted by the command and by the server."""
    assert relevo(*words).code == 0
