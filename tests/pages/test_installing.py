"""`tools/installing.py`, which `make demo` begins with on a new machine."""

import io
import sys
from pathlib import Path

import installing
import pytest
from support.terminals import Terminal

ROOT = Path(__file__).parents[2]
PIP = """
import sys
print("Collecting one==1.0 (from -r x (line 1))")
print("  Using cached one-1.0.whl")
print("Collecting two[extra]==2.0")
print("Installing collected packages: one, two")
sys.exit({code})
"""


@pytest.fixture
def requirements(tmp_path: Path) -> Path:
    """A file of two requirements, with hashes."""
    file = tmp_path / "requirements.txt"
    file.write_text("# made by make\none==1.0 \\\n    --hash=sha256:1\ntwo[extra]==2.0 ; x < '3'\n")
    return file


def run(requirements: Path, code: int) -> int:
    """Install with something that prints what pip prints, and ends with this code."""
    command = [sys.executable, "-c", PIP.format(code=code)]
    return installing.main([str(requirements), *command])


@pytest.mark.processes
def test_what_it_says_first(requirements: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It says at once how many packages come where, and nothing of what pip prints."""
    assert run(requirements, 0) == 0
    assert capsys.readouterr().out.startswith("Installing 2 packages into ")


@pytest.mark.processes
def test_a_failure(requirements: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """If pip fails, it ends as pip does, and prints all that pip has printed."""
    assert run(requirements, 3) == 3
    assert "Using cached one-1.0.whl" in capsys.readouterr().err


def test_progress() -> None:
    """It counts the packages that pip fetches, and says that they are installed then."""
    lines = ["Collecting a\n", "  Downloading a\n", "Ignoring b: markers\n", "Collecting c\n"]
    said = [*installing.progress([*lines, "Installing collected packages: a, c\n"], 2)]
    assert said[:3] == ["fetched 1 of 2", "fetched 2 of 2", "fetched 2 of 2"]
    assert "installing" in said[3]
    assert len(said) == 4


def test_a_terminal_has_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal has one line, which is gone at the end; a pipe has nothing at first."""
    monkeypatch.setenv("TERM", "xterm")
    terminal, pipe = Terminal(), io.StringIO()
    for stream in (terminal, pipe):
        installing.show(["Collecting a\n", "Collecting b\n"], 2, stream)
    assert "fetched 2 of 2" in terminal.getvalue()
    assert "\n" not in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K")
    assert pipe.getvalue() == ""


def test_the_requirements_are_counted() -> None:
    """Every pinned package of requirements/dev.txt is counted, and no hash."""
    text = (ROOT / "requirements" / "dev.txt").read_text("utf-8")
    names = [line for line in text.splitlines() if line[:1].isalnum()]
    assert len(installing.pinned(text)) == len(names) > 50
