"""The page about the command line has every command."""

import re
from pathlib import Path

from relevo_cli.main import COMMANDS

PAGE = (Path(__file__).parents[2] / "docs/command-line.md").read_text("utf-8")


def test_every_command_is_on_the_page() -> None:
    """The table of commands names those of the command's list, and no other."""
    rows = re.findall(r"^\| (`.*?`) \|", PAGE, re.MULTILINE)
    named = {word for row in rows for word in re.findall(r"`(?:relevo )?([a-z]+)", row)}
    assert named == {command.name for command in COMMANDS}
