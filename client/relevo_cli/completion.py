"""`relevo completion`: prints scripts that complete `relevo` in bash, zsh and fish."""

import argparse
import re
from pathlib import Path
from typing import Any, cast

import shtab

_SHELLS = ("bash", "zsh", "fish")
_Commands: Any = argparse._SubParsersAction  # pyright: ignore[reportPrivateUsage]
_CHOICES = re.compile(r"\{([\w,-]+)\}")
_INSTALL = """\
bash:  relevo completion bash > ~/.local/share/bash-completion/completions/relevo
zsh:   relevo completion zsh > ~/.zfunc/_relevo
       with `fpath+=(~/.zfunc)` before `compinit` in ~/.zshrc
fish:  relevo completion fish > ~/.config/fish/completions/relevo.fish
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `relevo completion SHELL`."""
    parser.description = "Print a script that completes commands, options and files."
    parser.epilog = _INSTALL
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("shell", choices=_SHELLS, help="the shell that is to read the script")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from relevo_cli.main import parser  # noqa: PLC0415 - it names this command

    relevo = parser(is_complete=True)
    _prepare(relevo)
    print(shtab.complete(relevo, options.shell))
    return 0


def _prepare(parser: argparse.ArgumentParser) -> None:
    """Tell shtab about a parser's files and choices, and those of its commands."""
    actions: list[Any] = parser._actions  # pyright: ignore[reportPrivateUsage] - no other way
    for action in actions:
        named = _CHOICES.fullmatch(str(action.metavar))
        if action.metavar == "FILE" or action.type is Path:
            action.complete = shtab.FILE
        elif named and not action.choices:
            action.choices = named[1].split(",")  # pydantic checks them itself
        elif isinstance(action, _Commands):
            for command in cast("dict[str, argparse.ArgumentParser]", action.choices).values():
                command.description = None  # shtab would prefer it to the list's short text
                _prepare(command)
