"""Progress: what it says remains, and when it says anything."""

from contextlib import redirect_stderr

import pytest
from hypothesis import given
from hypothesis import strategies as st
from relevo_cli.progress import FIRST, NEXT, PREFIX, Lines, Progress, showing
from relevo_cli.remaining import Remaining
from support.manual_clock import ManualClock
from support.terminals import Terminal


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal with colours."""
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    return Terminal()


def test_what_remains_follows_the_works_own_pace() -> None:
    """After a part of the work, the rest is expected to go on as fast."""
    remaining = Remaining(10, begun=0)
    assert remaining.left(3) is None
    remaining.advance(2, now=4)
    assert remaining.left(4) == 16
    assert remaining.left(5) == 15
    remaining.advance(8, now=12)
    assert remaining.left(12) == 0


def test_what_remains_is_known_from_an_earlier_run() -> None:
    """A pace that is known counts until something is done; then the work's own pace does."""
    remaining = Remaining(60, begun=0, pace=1.0)
    assert remaining.left(10) == 50
    remaining.advance(20, now=10)
    assert remaining.left(10) == 20


@given(st.lists(st.tuples(st.floats(0.01, 100), st.floats(0, 1000)), max_size=20))
def test_what_remains_is_never_negative(steps: list[tuple[float, float]]) -> None:
    """However late the work is, or if more is done than was expected, 0 s or more are left."""
    remaining, now = Remaining(50, begun=0), 0.0
    for weight, seconds in steps:
        now += seconds
        remaining.advance(weight, now)
        assert (remaining.left(now + 1) or 0) >= 0


def test_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal there is nothing at first, and then a line of text now and then."""
    clock = ManualClock()
    progress = Progress(Lines("turns", 2000, clock), Remaining(2000, clock.now), clock)
    for seconds in (1.0, FIRST - 1.5, 1.0, NEXT - 1.0, 1.0):
        clock.now += seconds
        for _ in range(199):
            progress.advance()
        progress.advance("lap 2")
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines() == [
        f"{PREFIX}turns 401 of 2,000, 6 s so far, about 22 s left (lap 2)",
        f"{PREFIX}turns 801 of 2,000, 20 s so far, about 31 s left (lap 2)",
    ]


def test_long_work_says_less_often_how_far_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """In an hour there are some forty lines, and not one every 15 s."""
    clock = ManualClock()
    progress = Progress(Lines("legs", 3600, clock), Remaining(3600, clock.now), clock)
    for _ in range(3600):
        clock.now += 1
        progress.advance()
    assert 30 < len(capsys.readouterr().err.splitlines()) < 50


def test_what_is_done_has_nothing_left(capsys: pytest.CaptureFixture[str]) -> None:
    """The line of the last step says how long it took, and no time that is left."""
    clock = ManualClock()
    progress = Progress(Lines("legs", 1, clock), Remaining(1, clock.now), clock)
    clock.now += 80
    progress.advance()
    assert capsys.readouterr().err == f"{PREFIX}legs 1 of 1, 1m 20s so far\n"


def test_short_work_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal, work that takes no time prints only its own lines."""
    with showing("steps", 3) as progress:
        progress.write("a result")
        for _ in range(3):
            progress.advance("one more")
    assert capsys.readouterr() == ("a result\n", "")


def test_a_bar_on_a_terminal(terminal: Terminal, capsys: pytest.CaptureFixture[str]) -> None:
    """A terminal shows how much is done and what goes on; standard output stays clean."""
    with redirect_stderr(terminal), showing("steps", 1200, pace=0.5) as progress:
        progress.write("a result")
        progress.advance("the [2nd] one")
    shown = terminal.getvalue()
    assert "steps" in shown
    assert "1 of 1,200" in shown
    assert "the [2nd] one" in shown
    assert terminal.colours
    assert shown.endswith("\x1b[2K"), "the line is gone"
    assert capsys.readouterr().out == "a result\n"


def test_no_color(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """With NO_COLOR the bar is drawn without colours."""
    monkeypatch.setenv("NO_COLOR", "1")
    with redirect_stderr(terminal), showing("steps", 2) as progress:
        progress.advance()
    assert "1 of 2" in terminal.getvalue()
    assert terminal.colours == []


def test_a_dumb_terminal(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal that cannot move its cursor gets plain lines, like a pipe."""
    monkeypatch.setenv("TERM", "dumb")
    with redirect_stderr(terminal), showing("steps", 2) as progress:
        progress.advance()
        progress.write("a result")
    assert terminal.getvalue() == ""


def test_measured_work_is_drawn_only_when_told(terminal: Terminal) -> None:
    """Without ticks nothing is drawn between two steps, and not every step is drawn."""
    with redirect_stderr(terminal), showing("turns", 1000, ticks=False) as progress:
        for _ in range(999):
            progress.advance()
        drawn = terminal.getvalue().count("turns")
        assert drawn < 500
        progress.advance()
        assert "1,000 of 1,000" in terminal.getvalue()
