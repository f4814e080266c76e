"""Completion in shells, and the time that `relevo` takes to start."""

import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from relevo_cli.main import COMMANDS
from support.servers.outcome import Relevo

pytestmark = pytest.mark.processes

_NAMES = {command.name for command in COMMANDS}
_LINES = {
    "relevo ": _NAMES,
    "relevo inv": {"invalidate"},
    "relevo get --out": {"--output"},
    "relevo get --output ": {"json", "table"},
    "relevo serve --log-format ": {"json", "console"},
    "relevo completion z": {"zsh"},
    "relevo put a:b:c cont": {"context.json"},
}
"""Lines that are completed, and what each offers."""


@pytest.fixture
def scripts(offline: Relevo, tmp_path: Path) -> Path:
    """A folder with the scripts of all shells, and a file to be completed."""
    for shell in ("bash", "zsh", "fish"):
        outcome = offline("completion", shell)
        assert (outcome.code, outcome.err) == (0, "")
        (tmp_path / shell).write_text(outcome.out)
    (tmp_path / "context.json").touch()
    return tmp_path


def needs(name: str) -> pytest.MarkDecorator:
    """Skip a test on a machine without a shell, but not in CI, which has all of them."""
    is_missing = not shutil.which(name) and not os.environ.get("CI")
    return pytest.mark.skipif(is_missing, reason=f"{name} is not installed")


def shell(folder: Path, *words: str) -> str:
    """The output of a shell that runs in the folder."""
    done = subprocess.run(
        words, cwd=folder, capture_output=True, text=True, check=False, timeout=30
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("line", _LINES)
def test_bash(scripts: Path, line: str) -> None:
    """Bash completes commands, options, their values and files."""
    program = (
        "source ./bash\n"
        "read -ra COMP_WORDS <<< \"$1\"; [[ $1 == *' ' ]] && COMP_WORDS+=('')\n"
        "COMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n"
        'function=$(complete -p relevo | sed -E "s/.*-F (\\w+) .*/\\1/")\n'
        "$function relevo; printf '%s\\n' \"${COMPREPLY[@]}\"\n"
    )
    offered = shell(scripts, "bash", "-c", program, "bash", line)
    assert {word.strip() for word in offered.split("\n") if word} == _LINES[line]


@needs("fish")
@pytest.mark.parametrize("line", _LINES)
def test_fish(scripts: Path, line: str) -> None:
    """Fish completes the same."""
    program = f"source ./fish; complete -C '{line}'"
    offered = shell(scripts, "fish", "--no-config", "-c", program)
    assert {word.partition("\t")[0] for word in offered.splitlines()} == _LINES[line]


@needs("zsh")
def test_zsh(scripts: Path) -> None:
    """Zsh reads its script."""
    assert shell(scripts, "zsh", "-f", "-n", "./zsh") == ""


def test_a_command_imports_only_what_it_needs() -> None:
    """`relevo --version` and `--help` import no gRPC, protobuf or pydantic: they start at once."""
    program = (
        "import sys\nfrom relevo_cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "finally:\n    print({'grpc', 'google.protobuf', 'pydantic', 'asyncio'} & {*sys.modules})\n"
    )
    for option in ("--version", "--help"):
        done = subprocess.run(
            [sys.executable, "-c", program, option], capture_output=True, text=True, check=True
        )
        assert done.stdout.splitlines()[-1] == "set()"


def test_every_command_can_be_imported(offline: Relevo) -> None:
    """Each command of the list has its help, which says what it does."""
    for command in COMMANDS:
        outcome = offline(command.name, "--help")
        assert (outcome.code, outcome.err) == (0, "")
        assert outcome.out.startswith(f"usage: relevo {command.name}")
    assert offline("--version").out == f"relevo {version('relevo')}\n"
