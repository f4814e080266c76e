"""Makes a release in dist/: `make dist`.

The wheel, the source distribution, an SBOM of a server that is installed from the wheel and
requirements/server.txt alone, and the checksums of all.
"""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
REQUIREMENTS = ROOT / "requirements" / "server.txt"
SERVER = ROOT / ".venv-release" / "server"
"""The environment of a server with nothing else in it."""
_NORMAL = re.compile(r"[-_.]+")


def main() -> None:
    """Make the release anew."""
    dist = ROOT / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    _run(sys.executable, "-m", "hatchling", "build", "-d", str(dist))
    (wheel,) = dist.glob("*.whl")
    _install(wheel)
    name, version = wheel.name.split("-")[:2]
    sbom = dist / f"{name}-{version}.cdx.json"
    describe(SERVER, sbom)
    text = sbom.read_text("utf-8")
    if str(ROOT) in text:
        sys.exit(f"{sbom.name} tells where it was made")
    problems = differences(
        components(json.loads(text)),
        {**pinned(REQUIREMENTS.read_text("utf-8")), name: version},
    )
    if problems:
        sys.exit(f"{sbom.name} is not of requirements/server.txt: {problems}")
    made = sorted(each for each in dist.iterdir())
    sums = [f"{hashlib.sha256(each.read_bytes()).hexdigest()}  {each.name}\n" for each in made]
    (dist / "SHA256SUMS").write_text("".join(sums))
    print("\n".join(each.name for each in (*made, dist / "SHA256SUMS")))


def describe(environment: Path, sbom: Path) -> None:
    """Write the SBOM of an environment: CycloneDX, the same for the same packages."""
    _run(
        *(sys.executable, "-m", "cyclonedx_py", "environment", str(environment)),
        *("--pyproject", str(ROOT / "pyproject.toml"), "--mc-type", "application"),
        *("--output-reproducible", "--output-format", "JSON", "--output-file", str(sbom)),
    )


def components(sbom: Any) -> dict[str, str]:
    """The versions of an SBOM's components by name, with that of what it describes."""
    found = [sbom["metadata"]["component"], *sbom["components"]]
    return {_normal(each["name"]): each["version"] for each in found}


def pinned(requirements: str) -> dict[str, str]:
    """The versions of a file of requirements, by name. Those for other machines are left out."""
    lines = requirements.replace("\\\n", " ").splitlines()
    found = (re.match(r"([\w.-]+)==(\S+?)(?: *;.*?)?(?: |$)", each) for each in lines)
    return {_normal(each[1]): each[2] for each in found if each and ";" not in each[0]}


def differences(found: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    """The packages that only one side has, or in another version."""
    return sorted({name for name, _ in set(found.items()) ^ set(wanted.items())})


def _install(wheel: Path) -> None:
    venv.create(SERVER, clear=True, with_pip=False)
    pip = (sys.executable, "-m", "pip", "--python", str(SERVER / "bin" / "python"), "install")
    options = ("--quiet", "--disable-pip-version-check", "--no-deps")
    _run(*pip, *options, "--require-hashes", "-r", str(REQUIREMENTS))
    _run(*pip, *options, str(wheel))


def _normal(name: str) -> str:
    """A package's name in the form of PEP 503."""
    return _NORMAL.sub("-", name).lower()


def _run(*command: str) -> None:
    subprocess.run(command, cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
