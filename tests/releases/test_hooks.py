"""Git's hooks run the parts of `make check`, each if a file that it looks at has changed."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFIGURATION = ROOT / ".pre-commit-config.yaml"
HOOKS = {
    name: re.compile(files)
    for name, files in re.findall(
        r"entry: make (\S+)\n.*?files: '([^'\n]*)'\n", CONFIGURATION.read_text("utf-8"), re.DOTALL
    )
}
"""The targets of the hooks, and the files that each looks at."""


def test_hooks_are_what_is_checked() -> None:
    """Each part of `make check` is a hook, in the same order, and no hook is anything else."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    (parts,) = re.findall(r"^check: (.*?) ##", makefile, re.MULTILINE)
    assert list(HOOKS) == parts.split()


@pytest.mark.parametrize(
    "file, parts",
    [
        ("client/relevo_client/_client/aio.py", "style drift layers types"),
        ("tests/conftest.py", "style types"),
        ("client/relevo_plan/measured.toml", "drift"),
        ("deploy/grafana/panels.toml", "drift"),
        ("docs/capacity.md", "drift"),
        ("generated/relevo/v1/store_pb2.pyi", "style layers types contract"),
        ("protos/relevo/v1/store.proto", "contract"),
        ("examples/protos/relevo/demo/v1/rag_platform.proto", "contract"),
        (".github/workflows/ci.yml", "workflows"),
        ("pyproject.toml", "style drift layers types"),
        ("requirements/dev.txt", "style drift layers types scripts contract workflows"),
        ("client/relevo_web/assets/chart.js", "drift scripts"),
        ("package-lock.json", "scripts"),
        ("README.md", ""),
    ],
)
def test_a_change_is_checked_by_what_can_see_it(file: str, parts: str) -> None:
    """A commit waits for the checks that can find a fault in it, and for no other."""
    assert (ROOT / file).exists()
    found = {name for name, files in HOOKS.items() if files.search(file)}
    assert found == {f"check-{part}" for part in parts.split()}


@pytest.mark.processes
def test_a_commit_runs_the_parts(tmp_path: Path) -> None:
    """With the hooks installed, a commit runs the parts by make, and is refused if one fails."""
    shutil.copy(CONFIGURATION, tmp_path)
    targets = "".join(f"{name}:\n\techo {name} >> ran\n\ttest ! -e {name}\n" for name in HOOKS)
    (tmp_path / "Makefile").write_text(f".PHONY: {' '.join(HOOKS)}\n{targets}")
    (tmp_path / ".gitignore").write_text("ran\npre-commit\n")
    (tmp_path / "module.py").write_text("")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    home = str(tmp_path / "pre-commit")
    environment = {**inherited, "PRE_COMMIT_HOME": home, "GIT_CONFIG_GLOBAL": os.devnull}

    def run(*command: str) -> int:
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, timeout=100, check=False
        )
        return done.returncode

    def git(*arguments: str) -> int:
        return run("git", "-c", "user.name=m", "-c", "user.email=m@forge.example", *arguments)

    assert git("init") == 0
    assert run(sys.executable, "-m", "pre_commit", "install") == 0
    assert git("add", "--all") == 0
    assert git("commit", "--message", "A module") == 0
    assert (tmp_path / "ran").read_text().split() == ["check-style", "check-types"]
    (tmp_path / "check-types").write_text("")
    (tmp_path / "module.py").write_text("VALUE: int = ''\n")
    assert git("add", "module.py") == 0
    assert git("commit", "--message", "A fault") == 1
