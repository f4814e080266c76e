"""The programs of Prometheus, fetched from Debian into `.cache`. Nothing is installed."""

import os
import shutil
from pathlib import Path

import matrix.debian
import pytest
from matrix.absent import AbsentError
from matrix.debian import command, unpack

from support.languages.making import built, missing

RELEASE = "bookworm"
_PROGRAMS = ("prometheus", "promtool")


def commands() -> dict[str, list[str]]:
    """The commands that run `prometheus` and `promtool`, by name.

    Skips the test if they are not available; on CI it fails.
    """
    reason = missing("Prometheus", ("apt-get", "dpkg-deb"))
    if not reason:
        try:
            root = built("prometheus", (Path(matrix.debian.__file__), Path(__file__)), _make)
            return {each: command(root, each) for each in _PROGRAMS}
        except AbsentError as error:
            reason = f"no tests of Prometheus: {error}"
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def _make(made: Path) -> None:
    """Keep the programs and their libraries: most of the package's 400 MB is for a website."""
    whole = made / "whole"
    root = unpack("prometheus", RELEASE, whole)
    (made / "usr" / "bin").mkdir(parents=True)
    for each in _PROGRAMS:
        shutil.copy2(root / "usr" / "bin" / each, made / "usr" / "bin" / each)
    shutil.copytree(root / "lib", made / "lib", symlinks=True)
    shutil.rmtree(whole)
