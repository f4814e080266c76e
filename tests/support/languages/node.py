"""The packages of the tests' programs in Node.js."""

import shutil
from functools import cache
from pathlib import Path

from support.languages.making import ROOT, made, missing, run

LOCK = ROOT / "tests" / "e2e" / "node" / "package-lock.json"
"""The versions and checksums of all of them."""

NODE = shutil.which("node") or ""
"""The program, if it is there."""

MISSING = missing("Node.js", ("node", "npm"))
"""Why nothing in Node.js can run here."""

_FILES = [LOCK.with_name(name) for name in (".npmrc", "package-lock.json", "package.json")]
_OPTIONS = ("--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund")


@cache
def packages() -> Path:
    """A `node_modules` with exactly the packages of the lock, for NODE_PATH."""
    return made("node", _FILES, _install) / "node_modules"


def _install(folder: Path) -> None:
    for path in _FILES:
        shutil.copy(path, folder)
    run("npm", "ci", *_OPTIONS, folder=folder)
