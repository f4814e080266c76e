"""The runbooks' commands."""

import re
import shlex
from pathlib import Path

import pytest
from relevo_cli.main import parser

RUNBOOKS = Path(__file__).parents[2] / "docs" / "runbooks"
SAMPLES = {"KEY": "conversation:acme:c-1"}
"""What stands for a word that the reader replaces, if not every word will do."""
_COMMAND = re.compile(r"^relevo (.+)", re.MULTILINE)
COMMANDS = sorted(
    {
        " ".join(shlex.split(found[1], comments=True))
        for page in RUNBOOKS.glob("*.md")
        for found in _COMMAND.finditer(page.read_text("utf-8"))
    }
)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_runbooks_command_can_be_run(command: str) -> None:
    """Every command of a runbook is one that `relevo` knows, with options that it has."""
    words = [SAMPLES.get(word, word) for word in command.split()]
    assert parser().parse_args(words).run


def test_there_are_commands() -> None:
    """The runbooks have commands, and this test finds them."""
    assert len(COMMANDS) > 10
