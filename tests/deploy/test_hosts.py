"""The compose files and the systemd unit: servers accept their settings, and they are held in."""

import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from relevo_server.settings import load
from relevo_server.storage.inspection import may_evict_logs
from support.helm import answers
from support.languages.making import ROOT, missing

UNIT = ROOT / "deploy" / "systemd" / "relevo.service"
PAGE = ROOT / "docs" / "deploy.md"
MOST_EXPOSED = 20
"""What `systemd-analyze security` may say at most, in tenths: 100 is a unit without any limits."""


@pytest.fixture(scope="module")
def compose() -> tuple[Any, Any]:
    """The compose files."""
    files = ("compose.yaml", "compose.secure.yaml")
    plain, secure = answers([{"yaml": f"deploy/compose/{each}"} for each in files])
    return plain, secure


def test_compose_has_settings_of_servers(
    compose: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server accepts the environment of the one file, and that of both."""
    plain, secure = (each["services"]["relevo"]["environment"] for each in compose)
    for name, value in plain.items():
        monkeypatch.setenv(name, value)
    loaded = load(None)
    assert (loaded.insecure, loaded.store.get_secret_value()) == (True, "redis://redis:6379/0")
    secrets = {f"/run/secrets/{each}" for each in compose[1]["services"]["relevo"]["secrets"]}
    assert secrets == {value for value in secure.values() if value.startswith("/")}
    monkeypatch.setenv("RELEVO_INSECURE", secure["RELEVO_INSECURE"])
    with pytest.raises(ValueError, match="everyone may do everything"):
        load(None)  # of both, but without the principals of its file


def test_compose_keeps_what_must_be_kept(compose: tuple[Any, Any]) -> None:
    """Redis evicts no logs, only the server reaches it, and only this host reaches the server."""
    services = compose[0]["services"]
    command = services["redis"]["command"]
    assert not may_evict_logs(command[command.index("--maxmemory-policy") + 1])
    assert services["redis"]["networks"] == ["store"]
    assert compose[0]["networks"]["store"]["internal"]
    assert "ports" not in services["redis"]
    assert [each for each in services["relevo"]["ports"] if "127.0.0.1" not in each] == []
    assert services["relevo"]["read_only"]
    assert services["relevo"]["cap_drop"] == ["ALL"]


def test_compose_names_this_version(compose: tuple[Any, Any]) -> None:
    """The image is that of this version, and is built from the Containerfile."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    relevo = compose[0]["services"]["relevo"]
    assert relevo["image"].endswith(f":{version}}}")
    build = relevo["build"]
    context = (ROOT / "deploy" / "compose" / build["context"]).resolve()
    assert context == ROOT
    assert (context / build["dockerfile"]).exists()


@pytest.fixture
def systemd() -> str:
    """The command that looks at units."""
    reason = missing("the unit", ("systemd-analyze",))
    if reason and os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    if reason:
        pytest.skip(reason)
    found = shutil.which("systemd-analyze")
    assert found
    return found


def looked_at(*command: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run a command that looks at something."""
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_systemd_understands_the_unit(systemd: str, tmp_path: Path) -> None:
    """It knows each line of the unit, and finds little that a server could reach."""
    unit = tmp_path / UNIT.name
    program = tmp_path / "relevo"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit.write_text(UNIT.read_text("utf-8").replace("/opt/relevo/bin/relevo", str(program)))
    verified = looked_at(systemd, "verify", "--man=no", unit)
    assert (verified.returncode, verified.stderr) == (0, "")
    secured = looked_at(
        systemd, "security", "--offline=yes", f"--threshold={MOST_EXPOSED}", "--no-pager", unit
    )
    assert secured.returncode == 0, secured.stdout.splitlines()[-1]
    unit.write_text(f"{unit.read_text('utf-8')}Protect=yes\n")
    assert looked_at(systemd, "verify", "--man=no", unit).stderr


def lines(name: str) -> Iterator[str]:
    """The values of a key of the unit."""
    yield from re.findall(rf"^{name}=(.*)$", UNIT.read_text("utf-8"), re.MULTILINE)


def test_the_unit_runs_what_it_should(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs `relevo serve` with the file that the page shows, which servers accept."""
    assert list(lines("ExecStart")) == ["/opt/relevo/bin/relevo serve"]
    assert "RELEVO_CONFIG=/etc/relevo/relevo.toml" in lines("Environment")
    (shown,) = re.findall(
        r"```toml\n(# /etc/relevo/relevo.toml\n.*?)```", PAGE.read_text("utf-8"), re.DOTALL
    )
    url = tmp_path / "store-url"
    url.write_text("rediss://relevo:hush@redis.internal:6380/0\n")
    file = tmp_path / "relevo.toml"
    own = re.sub(r'token_sha256 = "\w+"', f'token_sha256 = "{"ab" * 32}"', shown)
    file.write_text(own.replace("/etc/relevo/store-url", str(url)))
    monkeypatch.delenv("RELEVO_CONFIG", raising=False)
    loaded = load(file)
    assert loaded.principals
    assert loaded.tls_certificate
    assert loaded.store.get_secret_value().startswith("rediss://")
    assert float(next(lines("TimeoutStopSec"))) >= loaded.grace + 10
    assert list(lines("KillMode")) == ["mixed"]
    assert list(lines("RestartPreventExitStatus")) == ["2"]
