"""The program of the page about observation exports metrics, and says where contexts came from."""

import json
import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import howto
import pytest
from relevo_client.testing import LocalStore

PROGRAM = Path(howto.__file__).with_name("observed.py")


@contextmanager
def running(folder: Path, store: str, port: str) -> "Generator[subprocess.Popen[str]]":
    """The program with other addresses. It sets up an SDK for its whole process."""
    text = PROGRAM.read_text("utf-8")
    for shown, real in {"localhost:7390": store, "9465": port}.items():
        assert shown in text
        text = text.replace(shown, real)
    file = folder / "observed.py"
    file.write_text(text)
    with subprocess.Popen(
        [sys.executable, file], stdout=subprocess.PIPE, text=True, env={**os.environ}
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


@pytest.mark.processes
def test_observed(store: LocalStore, address: str, tmp_path: Path) -> None:
    """Its lines name the context and its source, and Prometheus finds the cache's metrics."""
    port = address.rpartition(":")[2]
    with running(tmp_path, store.address, port) as process:
        assert process.stdout
        said = [json.loads(process.stdout.readline()) for _ in range(3)]
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            metrics = answer.read().decode()
    assert {each["context"].partition(":")[0] for each in said} == {"snapshot"}
    assert "relevo_client_near_cache_lookups_total" in metrics
    assert "u-1" not in metrics + json.dumps(said)
