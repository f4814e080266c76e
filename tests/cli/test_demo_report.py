"""The demo's two screens, from turns that are made up."""

import io
from contextlib import redirect_stdout
from dataclasses import replace

import pytest
from relevo_cli.main import parser
from relevo_client import CacheCounts, ContextKey, ContextRef
from relevo_demo import files
from relevo_demo.brief_report import BriefReport
from relevo_demo.hints import HINTS
from relevo_demo.launching import Running
from relevo_demo.processes import Platform
from relevo_demo.services import CHAIN
from relevo_demo.turns import Seen, Setting, Turn
from relevo_look import look
from rich.console import Console
from support.terminals import Terminal

SCRIPT = files.brief(files.script())
CHANGE = SCRIPT.change
(TALK,) = SCRIPT.conversations
AGENT = ContextKey("agent_config", CHANGE.tenant_id, CHANGE.agent_id)
LONG = "Answer from the passages only, in a friendly tone, and never promise a date. " * 3


def seen(service: str, number: int, value: object) -> Seen:
    """What a service saw in a turn: two settings."""
    settings = {"llm_config.model": Setting(value, str(AGENT)), "rag_config.top_k": Setting(2, "x")}
    source, wait = ("near_cache", 12e-6) if number > 1 else ("store", 2e-3)
    return Seen(service, 1, "conversation:a:b", 1, settings, CacheCounts(0, 0, 0), source, wait)


def turn(number: int, value: object = "m-1", answer: str = "Yes.") -> Turn:
    """A turn of the conversation."""
    found = tuple(seen(service, number, value) for service in CHAIN)
    text = TALK.turns[number - 1]
    return Turn(
        number, TALK.tenant_id, TALK.agent_id, TALK.conversation_id, text, answer, found, 0.02
    )


def printed(width: int, *, value: object = "m-2", answer: str = LONG) -> list[str]:
    """The lines of a whole report, in which the model becomes `value`."""
    out = io.StringIO()
    report = BriefReport(Console(file=out, width=width, markup=False, highlight=False))
    store = Running("store", 1, "127.0.0.1:1234")
    report.opening(SCRIPT)
    services = [replace(store, name=name) for name in CHAIN]
    report.platform(Platform(store, "memory://", services), 20)
    turns = [turn(number, answer=answer) for number in (1, 2, 3)]
    for before, after in zip([None, *turns], turns, strict=False):
        report.turn(after, before)
    report.change(CHANGE, ContextRef(AGENT, 7), 0.004)
    turns.append(turn(4, value, "In short: yes."))
    report.turn(turns[-1], turns[-2])
    report.summary(turns, 21, CHANGE)
    return out.getvalue().splitlines()


def test_the_brief_script() -> None:
    """The last message is repeated after the change, so that the answers can be compared."""
    whole = files.script()
    (same,) = (each for each in whole.conversations if each.agent_id == TALK.agent_id)
    assert TALK.turns == (*same.turns, same.turns[-1])
    assert CHANGE.after_round == len(same.turns)
    assert CHANGE.changes == whole.change.changes


def test_two_screens() -> None:
    """At 100 columns it has 100 lines at most, of which the first says what is about to happen."""
    lines = printed(100)
    assert len(lines) <= 100
    assert lines[0].startswith("Relevo demo: ")


@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize("value", ["m-2", LONG, {"chunk": [1, 2, {"b": LONG}]}])
def test_it_fits(width: int, value: object) -> None:
    """No line is wider than the terminal, whatever a setting's value is."""
    assert max(map(len, printed(width, value=value))) <= width


def test_what_changed_stands_out() -> None:
    """Without colours too: each changed setting has a mark, its old value and its new one."""
    marked = [line for line in printed(100) if f"{look.CHANGED} model" in line]
    assert len(marked) == len(CHAIN)
    assert all(f"m-1 {look.NEXT} m-2" in line for line in marked)


def test_what_did_not_change_is_one_line() -> None:
    """In a turn without changes each service has one line: its source and its time."""
    same = [line.split() for line in printed(100) if "the same 2 settings" in line]
    assert [line.index("near") for line in same] == [1, 2, 2, 2] * 2
    assert all("12" in line and "µs" in line for line in same)


def test_where_contexts_came_from() -> None:
    """The summary counts the handlers by their source, with the median of their waits."""
    rows = [line.split() for line in printed(100) if "store was asked" in line]
    assert [(row[0], row[1], row[3:5]) for row in rows] == [("store", "4", ["2", "ms"])]
    (near,) = [line for line in printed(100) if "own copy" in line]
    assert near.split()[:3] == ["near", "cache", "12"]


@pytest.mark.parametrize(
    "variables, has_colours",
    [({"TERM": "xterm-256color"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False),
     ({"TERM": "dumb"}, False)],
    ids=["a terminal", "NO_COLOR", "a dumb terminal"],
)  # fmt: skip
def test_colours(
    variables: dict[str, str], has_colours: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A terminal has colours, unless NO_COLOR is set or it is a dumb one."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    stream = Terminal()
    with redirect_stdout(stream):
        BriefReport().turn(turn(1), None)
    assert "Turn 1" in stream.getvalue()
    assert bool(stream.colours) is has_colours


@pytest.mark.parametrize("arguments", [hint.arguments for hint in HINTS])
def test_hints_can_be_typed(arguments: str) -> None:
    """What to try next are commands that `relevo` knows, with arguments that it has."""
    try:
        assert parser().parse_args(arguments.split()).run
    except SystemExit as end:
        assert end.code == 0  # noqa: PT017 - `--help` ends so
