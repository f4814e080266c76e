"""The SBOM of a release: what a server is made of, in CycloneDX, compared with what was pinned."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from commands import ROOT, module
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REQUIREMENTS = ROOT / "requirements" / "server.txt"


class SbomError(Exception):
    """An SBOM that does not say what was installed, or says where."""


def write(environment: Path, sbom: Path, version: str) -> None:
    """Write the SBOM of an environment of a server: the same for the same packages.

    Raises SbomError if it has another package or version than requirements/server.txt and this
    version of Relevo, or names a path of this machine.
    """
    module(
        *("cyclonedx_py", "environment", str(environment)),
        *("--pyproject", str(ROOT / "pyproject.toml"), "--mc-type", "application"),
        *("--output-reproducible", "--output-format", "JSON", "--output-file", str(sbom)),
    )
    text = sbom.read_text("utf-8")
    if str(ROOT) in text:
        raise SbomError(f"{sbom.name} tells where it was made")
    wanted = {**pinned(REQUIREMENTS.read_text("utf-8")), "relevo": version}
    problems = differences(components(json.loads(text)), wanted)
    if problems:
        raise SbomError(f"{sbom.name} is not of requirements/server.txt: {', '.join(problems)}")


def components(sbom: Any) -> dict[str, str]:
    """The versions of an SBOM's components by name, with that of what it describes."""
    found = [sbom["metadata"]["component"], *sbom["components"]]
    return {canonicalize_name(each["name"]): each["version"] for each in found}


def pinned(requirements: str) -> dict[str, str]:
    """The versions of a file of requirements, by name. Those for other machines are left out."""
    lines = requirements.replace("\\\n", " ").splitlines()
    found = [Requirement(each.split("--hash")[0]) for each in lines if "==" in each]
    return {
        canonicalize_name(each.name): str(each.specifier).removeprefix("==")
        for each in found
        if each.marker is None or each.marker.evaluate()
    }


def differences(found: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    """The packages that only one side has, or in another version."""
    return sorted({name for name, _ in set(found.items()) ^ set(wanted.items())})
