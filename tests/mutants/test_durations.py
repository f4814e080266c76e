"""`Durations` and `NamedSteps`: what programs remember, to say what remains."""

from contextlib import suppress
from pathlib import Path

import pytest
from support.durations import Durations
from support.named_steps import showing_steps


def test_what_is_remembered(tmp_path: Path) -> None:
    """The next run expects what the last one took, and the median of it for a new step."""
    file = tmp_path / "folder" / "bench.json"
    before = Durations(file)
    assert before.expected(["a", "b"]) is None
    for step, seconds in (("a", 9.0), ("b", 3.0), ("c", 5.0), ("a", 1.0)):
        before.remember(step, seconds)
    assert Durations(file).expected(["a", "b", "c", "new"]) == {"a": 1, "b": 3, "c": 5, "new": 3}
    assert Durations(file).expected(["new"]) is None
    assert [each.name for each in file.parent.iterdir()] == ["bench.json"]


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"a": "soon"}'])
def test_a_file_of_something_else(tmp_path: Path, text: str) -> None:
    """A file that is broken is written anew: it has only guesses."""
    file = tmp_path / "bench.json"
    file.write_text(text)
    Durations(file).remember("a", 1.0)
    assert Durations(file).expected(["a"]) == {"a": 1.0}


def test_steps_remember(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each step that is done is remembered, also if a later one fails."""
    file = tmp_path / "bench.json"
    with suppress(KeyboardInterrupt), showing_steps(Durations(file), "steps", ["a", "b"]) as steps:
        steps.done("a", 2.0)
        steps.write("a is done")
        raise KeyboardInterrupt
    assert Durations(file).expected(["a", "b"]) == {"a": 2.0, "b": 2.0}
    assert capsys.readouterr().out == "a is done\n"
