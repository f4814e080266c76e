"""`make scale` and `make peers` as a whole, with few streams and short measurements."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from relevo.v1.context_pb2 import ContextKey
from support.languages.making import ROOT

from benchmarks.peers import programs
from benchmarks.peers.fields import field
from benchmarks.scale.generator import MISSING


def rows_of(module: str, output: Path, *options: str) -> list[dict[str, Any]]:
    """Run a benchmark to its end. Returns the rows that it has written."""
    if MISSING:
        pytest.skip(MISSING)
    words = [sys.executable, "-m", module, "--output", str(output), *options]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    rows: list[dict[str, Any]] = json.loads(output.read_text())
    return rows


@pytest.mark.long
@pytest.mark.timeout(600)
def test_each_benchmark_has_its_rows(tmp_path: Path) -> None:
    """`make scale` measures each row, writes them as JSON, and draws a chart."""
    chart = tmp_path / "scale.png"
    options = ("--most", "100", "--quick", "--soak", "12", "--chart", str(chart))
    rows = rows_of("benchmarks.scale", tmp_path / "scale.json", *options)
    assert {row["bench"] for row in rows} >= {"Idle", "Push", "Keys", "Herd", "Soak"}
    assert all(row["seconds"] > 0 for row in rows)
    pushes = [row for row in rows if row["bench"] == "Push"]
    assert [row["load"].split()[0] for row in pushes] == ["10", "100"]
    assert chart.read_bytes().startswith(b"\x89PNG")


@pytest.mark.long
@pytest.mark.timeout(600)
def test_peers_are_compared_in_one_run(tmp_path: Path) -> None:
    """`make peers` measures each method and load, with the peers that are there."""
    options = ("--rounds", "2", "--seconds", "0.2")
    rows = rows_of("benchmarks.peers", tmp_path / "peers.json", *options)
    assert len({row["bench"] for row in rows}) == 6
    assert {row["load"] for row in rows} >= {"the echo", "Relevo, memory", "Relevo, Redis"}
    # No server answers a call in less than 5 µs: less would be another process's CPU.
    assert all(row["values"]["CPU"]["value"] > 5 for row in rows)
    ours = [row["values"] for row in rows if row["load"] == "Relevo, Redis"]
    assert all(values["of the echo"]["value"] > 0 for values in ours)


def test_a_binary_may_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer's binary is the one that the environment names, else the one of the PATH."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("ETCD", raising=False)
    assert programs.found("etcd") is None
    monkeypatch.setenv("ETCD", "/somewhere/etcd")
    assert programs.found("etcd") == "/somewhere/etcd"


@pytest.mark.parametrize("size", [0, 1, 127, 128, 300, 20_000])
def test_fields_are_protobufs(size: int) -> None:
    """A field that is made by hand is the one that the library makes."""
    key = ContextKey(scope="s", tenant_id="t" * size, id="i")
    made = b"".join(field(n, text.encode()) for n, text in enumerate(("s", "t" * size, "i"), 1))
    assert ContextKey.FromString(made) == key
    if size:
        assert key.SerializeToString() == made
