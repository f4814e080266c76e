"""Copies of a project that may be broken: the project itself is never touched."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from mutants.listed import Mutant

_PACKAGES = ("client", "server", "generated", "examples", "tests", "tools")
_FETCHED = "client/relevo_web/assets/vendor"
"""What Git ignores, and pages need."""


class Ended(NamedTuple):
    """How a run of pytest, or of something else, has ended."""

    code: int | None
    """Its exit code; None if it was ended because it took too long."""
    output: str


class Copy:
    """One copy of a project, in which one mutant at a time lives.

    Args:
        project: the root of the project, which is a Git repository.
        folder: where the copy is made. It has what Git tracks, what is new, and what was fetched.

    """

    def __init__(self, project: Path, folder: Path) -> None:
        self.folder = folder
        self._writes = 0
        command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
        files = subprocess.check_output(command, cwd=project, text=True)
        for name in filter(None, files.split("\0")):
            if (project / name).is_file():  # one that was deleted is still tracked
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(project / name, folder / name)
        if (project / _FETCHED).is_dir():
            shutil.copytree(project / _FETCHED, folder / _FETCHED)

    @contextmanager
    def broken(self, mutant: Mutant) -> Generator[None]:
        """Break the copy for as long as the block takes. Raises ValueError: see `Mutant.broken`."""
        path = self.folder / mutant.file
        source = path.read_text()
        self._write(path, mutant.broken(source))
        try:
            yield
        finally:
            self._write(path, source)

    def _write(self, path: Path, source: str) -> None:
        """Write a file with a time that it never had: Python tells by that if bytecode is old."""
        self._writes += 1
        path.write_text(source)
        os.utime(path, (self._writes, self._writes))

    def run(self, tests: Sequence[str], *, seconds: float) -> Ended:
        """Run tests on the copy, up to the first that fails, for so many seconds at most."""
        command = ["-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
        return self.python(*command, seconds=seconds)

    def python(self, *arguments: str, seconds: float) -> Ended:
        """Run Python with the copy's packages, for so many seconds at most."""
        command = [sys.executable, *arguments]
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("RELEVO_")},
            # Before the packages that are installed, in the tests' own processes too.
            "PYTHONPATH": os.pathsep.join(str(self.folder / each) for each in _PACKAGES),
        }
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            _kill(process)
            output, _ = process.communicate()
            return Ended(None, output)
        except BaseException:
            _kill(process)
            process.wait()
            raise
        return Ended(process.returncode, output)


def _kill(process: "subprocess.Popen[str]") -> None:
    """End a run of tests with what it has started, which would hold its output open."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def copy_of(project: Path) -> Generator[Copy]:
    """A copy that is gone with the block."""
    with TemporaryDirectory(prefix="relevo-mutants-") as folder:
        yield Copy(project, Path(folder))
