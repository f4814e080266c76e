"""The reference of the command line: what `relevo COMMAND --help` prints."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from io import StringIO
from unittest.mock import patch

from relevo_cli.main import COMMANDS, parser

_INTRO = """# The `relevo` command

What each command's `--help` prints. [The command line](../command-line.md) shows what their answers
look like.
"""
_WIDTH = "92"
_NESTED = re.compile(r"^  COMMAND\n((?:    .+\n)+)", re.MULTILINE)
"""The list of a command's own commands, each with what it does."""
_SETTINGS = re.compile(r"^ +--listen\b.*", re.DOTALL | re.MULTILINE)
"""The first flag of a setting, and all options after it."""
_GROUP = re.compile(r"[\w.]+ options:\n")
"""The heading of a setting's own group of flags."""
_SETTINGS_TOO = {"serve", "check"}
"""Commands that have a flag for each setting of the server."""


def page() -> str:
    """The page's text."""
    return _INTRO + "".join(part for each in COMMANDS for part in _parts([each.name]))


def _parts(words: Sequence[str]) -> Iterator[str]:
    text = helped(words)
    nested = _NESTED.search(text)
    yield f"\n## relevo {' '.join(words)}\n\n"
    if words[0] in _SETTINGS_TOO:
        yield "It has a flag for each of the [settings](settings.md), too.\n\n"
        text = _without_settings(text)
    yield f"```text\n{text.rstrip()}\n```\n"
    if nested:
        for each in re.findall(r"^    (\w+) ", nested[1], re.MULTILINE):
            yield from _parts([*words, each])


def helped(words: Sequence[str]) -> str:
    """The output of a command with `--help`, in a terminal of 92 columns."""
    printed = StringIO()
    terminal = patch.dict(os.environ, {"COLUMNS": _WIDTH, "NO_COLOR": "1"})
    with terminal, redirect_stdout(printed):
        try:
            parser().parse_args([*words, "--help"])
        except SystemExit as ended:  # argparse ends so after help
            if ended.code:
                raise
    return printed.getvalue()


def _without_settings(text: str) -> str:
    """The help of a command without its flags for settings, which are most of it."""
    usage, *parts = text.split("\n\n")
    name = usage.split("[", 1)[0].strip()
    kept = [
        _SETTINGS.sub("", part).rstrip()
        for part in parts
        if not part.startswith(" ") and not _GROUP.match(part)
    ]
    return "\n\n".join([f"{name} [-h] [--config CONFIG] [SETTINGS]", *kept])
