"""docs/start/index.md: its commands, run in a clean folder, do what the page says."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
from support.network.ports import ReservedPort
from support.waiting import until

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/start/index.md").read_text("utf-8")
INSTALL, STORE, PUT, SERVICE, CALL, CHANGE, LOOK = range(1, 8)
"""The numbers of the page's steps."""
_STEP = re.compile(r"^## (\d)\. .+?\n(.*?)(?=^## |\Z)", re.DOTALL | re.MULTILINE)
_SHELL = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)
_TYPED = re.compile(r"Type `([^`]+)`.*?```text\n(.+?)\n```", re.DOTALL)


class Step(NamedTuple):
    """A step of the page."""

    command: str
    typed: str
    """What the reader types into the program of step 5, "" for nothing."""
    answered: str
    """What the page says that it answers."""


def steps() -> dict[int, Step]:
    """The steps by their numbers."""
    found: dict[int, Step] = {}
    for number, text in _STEP.findall(PAGE):
        (command,) = _SHELL.findall(text)
        typed, answered = (_TYPED.findall(text) or [("", "")])[0]
        found[int(number)] = Step(command.strip(), typed, answered)
    return found


STEPS = steps()


class Reader:
    """Does what the page says, in a folder with its programs and in an environment of its own."""

    def __init__(self, folder: Path, store: str, service: str, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack
        self._environment = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder),
            "RELEVO_LISTEN": store,
            "RELEVO_TARGET": store,
        }
        programs = folder / "examples/howto/start"
        shutil.copytree(ROOT / "examples/howto/start", programs)
        for file in programs.glob("*.py"):
            text = file.read_text("utf-8")
            text = text.replace("localhost:7390", store).replace("localhost:50051", service)
            file.write_text(text)

    def run(self, step: int) -> str:
        """Run a step's command to its end, and return what it printed."""
        done = subprocess.run(
            ["/bin/sh", "-ec", STEPS[step].command],
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, step: int) -> "subprocess.Popen[str]":
        """Start a step's command, which goes on."""
        words = shlex.split(STEPS[step].command.removesuffix("&"))
        process = self._stack.enter_context(
            subprocess.Popen(
                words,
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        self._stack.callback(process.kill)
        return process

    def is_served(self) -> bool:
        """Whether the store answers."""
        return not subprocess.run(
            [Path(sys.executable).with_name("relevo"), "status"],
            env=self._environment,
            capture_output=True,
            timeout=60,
            check=False,
        ).returncode


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """A reader of the page, whose programs end with the test."""
    with ExitStack() as stack:
        store, service = (stack.enter_context(ReservedPort()).number for _ in range(2))
        yield Reader(tmp_path, f"127.0.0.1:{store}", f"127.0.0.1:{service}", stack)


def say(program: "subprocess.Popen[str]", text: str) -> str:
    """Type a line, and read the line that answers it."""
    assert program.stdin
    assert program.stdout
    program.stdin.write(f"{text}\n")
    program.stdin.flush()
    return program.stdout.readline().strip()


def test_five_minutes(reader: Reader) -> None:
    """A change of the agent is in the next answer, and nothing was restarted."""
    reader.start(STORE)
    until(reader.is_served, within=60, what="the store")
    reader.run(PUT)
    reader.start(SERVICE)
    asks = reader.start(CALL)
    assert say(asks, STEPS[CALL].typed) == STEPS[CALL].answered == "m-1 answers: Hello"
    reader.run(CHANGE)
    assert say(asks, STEPS[CHANGE].typed) == STEPS[CHANGE].answered == "m-2 answers: Hello again"
    looked = reader.run(LOOK)
    assert re.search(r'llm_config\.model +"m-2" +\d agent_config:acme:support', looked)


def test_the_installation_is_the_one_of_readme() -> None:
    """The page installs as README.md does, in a folder of its own."""
    assert "pip install '.[server]'" in STEPS[INSTALL].command
    assert "pip install '.[server]'" in (ROOT / "README.md").read_text("utf-8")
