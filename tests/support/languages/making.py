"""Builds that are cached by the contents of their inputs.

A build stays in `.cache` of this repository, in a folder whose name has a digest of the inputs.
Concurrent builds of the same folder wait for one another.
"""

import fcntl
import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

ROOT = Path(__file__).parents[3]
"""The repository."""
_CACHE = ROOT / ".cache"
_BUILD_SECONDS = 600


def built(name: str, inputs: Iterable[Path], make: Callable[[Path], None]) -> Path:
    """The folder that `make` has filled from `inputs`, which are files and folders.

    Older builds of this name are removed.
    """
    _CACHE.mkdir(exist_ok=True)
    folder = _CACHE / f"{name}-{_digest(inputs)}"
    with (_CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            for outdated in _CACHE.glob(f"{name}-*"):
                shutil.rmtree(outdated)
            # An incomplete build has another name, so that it is never used.
            with tempfile.TemporaryDirectory(dir=_CACHE, prefix=".making-") as directory:
                begun = Path(directory, name)
                begun.mkdir()
                make(begun)
                begun.rename(folder)
    return folder


def run(*command: str | Path, folder: Path) -> None:
    """Run a tool to its end. The error has its output if it fails."""
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=_BUILD_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"


def missing(language: str, tools: Iterable[str]) -> str | None:
    """The reason why nothing in this language can be built here, or None."""
    absent = [tool for tool in tools if not shutil.which(tool)]
    if not absent:
        return None
    return f"no tests of {language}: there is no {' and no '.join(absent)} on the PATH"


def _digest(inputs: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for each in inputs for path in _files(each)):
        digest.update(f"{path.relative_to(ROOT)}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _files(path: Path) -> Iterable[Path]:
    return (each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
