"""`relevo-run`: runs a program whose channels, servers, applications and brokers are instrumented.

    relevo-run python service.py
    relevo-run uvicorn service:app --workers 4

The settings are environment variables. The program and the Python processes that it starts inherit
the instrumentation by `PYTHONPATH`. Each of them pays for it only if it imports gRPC, Starlette,
FastStream or Relevo.
"""

import os
import shutil
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

USAGE = """\
usage: relevo-run COMMAND [ARGUMENT ...]

Runs a program, such as `relevo-run python service.py`, with what `relevo_client.instrument()`
does: the channels and servers of gRPC, the applications of Starlette and FastAPI, and the brokers
of FastStream carry contexts. Environment variables say how, RELEVO_TARGET for one.
docs/instrument.md has them all.

options:
  -h, --help   show this text
  --version    show the version of Relevo
"""
_SITE = str(Path(__file__).parent / "_site")
_WRONG_USAGE, _NOT_FOUND = 2, 127


def main(words: Sequence[str] | None = None) -> NoReturn:
    """Run the command of the command line in the place of this process.

    Exits with 2 if a setting is wrong, and names its variable; with 127 if there is no such
    command.
    """
    words = sys.argv[1:] if words is None else words
    if words and words[0] in ("-h", "--help"):
        print(USAGE, end="")
        sys.exit()
    if words and words[0] == "--version":
        print(f"relevo-run {version('relevo')}")
        sys.exit()
    if not words or words[0].startswith("-"):
        print(USAGE, end="", file=sys.stderr)
        sys.exit(_WRONG_USAGE)
    program = shutil.which(words[0])
    if program is None:
        _fail(f"{words[0]}: command not found", _NOT_FOUND)
    _check_settings()
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    others = [each for each in given if each and each != _SITE]
    os.environ["PYTHONPATH"] = os.pathsep.join([_SITE, *others])
    os.execv(program, list(words))  # noqa: S606 - what the user wants to run


def _check_settings() -> None:
    """Exit if `instrument` would raise an error in the program; warn of misspelt variables."""
    from relevo_client import RelevoError, instrument  # noqa: PLC0415 - it takes a moment
    from relevo_client._instrument.settings import unknown_variables  # noqa: PLC0415

    for variable, nearest in unknown_variables(os.environ):
        text = f"relevo-run: {variable} is not a setting; did you mean {nearest}?"
        print(text, file=sys.stderr)
    try:
        instrument()
    except RelevoError as error:
        _fail(str(error), _WRONG_USAGE)


def _fail(problem: str, code: int) -> NoReturn:
    print(f"relevo-run: {problem}", file=sys.stderr)
    sys.exit(code)
