"""The npm packages of the tests' programs in Node.js."""

import shutil
from functools import cache
from pathlib import Path

from support.languages.making import ROOT, built, missing, run

LOCK = ROOT / "tests" / "e2e" / "node" / "package-lock.json"
"""The file with the versions and checksums of all packages."""

NODE = shutil.which("node") or ""
"""The path of the program, or "" if it is not installed."""

MISSING = missing("Node.js", ("node", "npm"))
"""The reason why nothing in Node.js can run here, or None."""

_FILES = [LOCK.with_name(name) for name in (".npmrc", "package-lock.json", "package.json")]
_OPTIONS = ("--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund")


@cache
def packages() -> Path:
    """A `node_modules` folder with exactly the packages of the lock file, for NODE_PATH."""
    return built("node", _FILES, _install) / "node_modules"


def _install(folder: Path) -> None:
    for path in _FILES:
        shutil.copy(path, folder)
    run("npm", "ci", *_OPTIONS, folder=folder)
