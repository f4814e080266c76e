"""When a token is read again: the rules, with a clock of the test's own."""

from pathlib import Path

import pytest
from relevo_client import AccessDeniedError
from relevo_client._store import bearer
from relevo_client._store.bearer import Bearer
from support.manual_clock import ManualClock

UNKNOWN = AccessDeniedError("no", reason="UNAUTHENTICATED")


@pytest.fixture
def clock() -> ManualClock:
    """A clock that the test moves on."""
    return ManualClock()


@pytest.mark.parametrize("age", [bearer.FILE_AGE, bearer.FUNCTION_AGE])
def test_a_token_is_used_for_its_time(clock: ManualClock, age: float) -> None:
    """A token that was read is used for its age, and then read again."""
    token = Bearer(lambda: "t", age, clock=clock)
    assert token.entries() is None
    entries = token.renewed("t")
    clock.now += age - 0.001
    assert token.entries() == entries == (("authorization", "Bearer t"),)
    clock.now += 0.001
    assert token.entries() is None


def test_a_file_is_read_each_second(tmp_path: Path) -> None:
    """A file's token is a second old at most; a function's, a minute."""
    file = tmp_path / "token"
    file.write_text(" t\n")
    assert bearer.of_file(file).entries() == (("authorization", "Bearer t"),)
    assert (bearer.FILE_AGE, bearer.FUNCTION_AGE) == (1.0, 60.0)


def test_an_expired_token_is_better_than_none(clock: ManualClock) -> None:
    """If the next token cannot be read, the last one is used on, for a second at a time."""
    token = Bearer(lambda: "t", 60, clock=clock)
    entries = token.renewed("t")
    clock.now += 61
    assert token.failed(OSError()) == entries
    assert token.entries() == entries
    clock.now += 1
    assert token.entries() is None


def test_a_refused_token_is_used_no_more(clock: ManualClock) -> None:
    """A token that the store has refused is read again at once."""
    token = Bearer(lambda: "t", 60, clock=clock)
    assert token.refused(UNKNOWN, token.renewed("t"), is_retry=False)
    assert token.entries() is None


def test_a_token_that_was_renewed_meanwhile_stays(clock: ManualClock) -> None:
    """A late refusal of an earlier token does not end the present one."""
    token = Bearer(lambda: "t", 60, clock=clock)
    old, new = token.renewed("old"), token.renewed("new")
    assert token.refused(UNKNOWN, old, is_retry=False)
    assert token.entries() == new


def test_no_more_than_one_fresh_token_a_second(clock: ManualClock) -> None:
    """If a fresh token is refused too, no call gets another one for a second."""
    token = Bearer(lambda: "t", 60, clock=clock)
    entries = token.renewed("t")
    assert token.refused(UNKNOWN, entries, is_retry=False)
    token.renewed("t")
    assert not token.refused(UNKNOWN, entries, is_retry=True)
    assert not token.refused(UNKNOWN, entries, is_retry=False)
    assert token.entries() == entries
    clock.now += 1
    assert token.refused(UNKNOWN, entries, is_retry=False)
