"""Drivers: a program in each language, built from its sources and our protos."""

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from interop.checks import HERE
from support.languages import node
from support.languages.making import ROOT, built, missing, run

PROTOS = ROOT / "protos"


@dataclass(frozen=True)
class Driver:
    """A driver in one language. `command` builds it if necessary, and returns its command line.

    `missing` is the reason why it cannot be built here, or None.
    """

    missing: str | None
    command: Callable[[], list[str]]


def _node() -> list[str]:
    environment = (f"NODE_PATH={node.packages()}", f"GOOGLEAPIS={_googleapis()}")
    return ["env", *environment, "node", str(HERE / "node" / "driver.js")]


def _googleapis() -> Path:
    """The folder of google/rpc/status.proto, from a Python package."""
    spec = importlib.util.find_spec("google.rpc")
    assert spec
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]).parents[1]


def _go() -> list[str]:
    return [str(built("interop-go", (HERE / "go", PROTOS), _make_go) / "driver")]


def _make_go(folder: Path) -> None:
    shutil.copytree(HERE / "go", folder, dirs_exist_ok=True)
    (folder / "plugins").mkdir()
    run("go", "build", "-o", "plugins", "tool", folder=folder)
    buf = Path(sys.executable).with_name("buf")
    run(buf, "generate", PROTOS, "--template", "buf.gen.yaml", folder=folder)
    run("go", "build", "-o", "driver", ".", folder=folder)


def _java() -> list[str]:
    target = built("interop-java", (HERE / "java", PROTOS), _make_java) / "target"
    path = os.pathsep.join([str(target / "classes"), str(target / "libraries" / "*")])
    return ["java", "-XX:TieredStopAtLevel=1", "-cp", path, "io.relevo.interop.Driver"]


def _make_java(folder: Path) -> None:
    shutil.copytree(HERE / "java", folder, dirs_exist_ok=True)
    run("mvn", "--batch-mode", "--quiet", f"-Dprotos={PROTOS}", "process-classes", folder=folder)


DRIVERS = {
    "node": Driver(node.MISSING, _node),
    "go": Driver(missing("Go", ("go",)), _go),
    "java": Driver(missing("Java", ("java", "javac", "mvn")), _java),
}
