"""The image in deploy/container: its steps in a clean prefix, run by its user."""

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
from support.image import PREFIX, Image, instructions, programs_of_python, stages, value
from support.languages.making import ROOT
from support.network.ports import ReservedPort
from support.waiting import until

pytestmark = pytest.mark.timeout(1000)
WITHOUT_BYTECODE = """
import sys
from pathlib import Path
from typing import IO
import relevo_server.cli.running, relevo_cli.serving, relevo_server.telemetry.exporters
import cryptography, jwt
loaded = [each for each in sys.modules.values() if getattr(each, "__cached__", None)]
print([each.__name__ for each in loaded if not Path(each.__cached__).exists()], len(loaded))
"""


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    """The image, made once. Its steps need the registry of Python's packages."""
    if not programs_of_python():
        reason = "no tests of the image: there is no Python that every user may run"
        if os.environ.get("CI"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="relevo-image-") as folder:
        yield Image(Path(folder))


def test_both_stages_have_one_base() -> None:
    """What the first stage installs uses the Python of its base, so the second needs the same."""
    first, second = stages()
    assert value(first, "FROM").split()[0] == value(second, "FROM").split()[0] == "${BASE}"
    assert [each.value for each in second if each.name == "COPY"] == [
        f"--from=build {PREFIX} {PREFIX}"
    ]
    assert {each.name for each in second} == {
        *("FROM", "COPY", "ENV", "USER", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD")
    }
    copied = (each.value.split()[:-1] for each in instructions() if each.name == "COPY")
    assert [each for many in copied for each in many if not (ROOT / each).exists()] == [
        *("--from=build", PREFIX)
    ]


def test_a_server_of_the_image(image: Image) -> None:
    """It serves as its user if nobody can write, is healthy by its own check, and ends in order."""
    assert image.user[0] >= 10_000
    with ReservedPort() as port:
        settings = {
            "RELEVO_LISTEN": f"127.0.0.1:{port.number}",
            "RELEVO_METRICS_LISTEN": "127.0.0.1:0",
        }
        with tempfile.TemporaryFile() as log:
            with image.start(*image.command, environment=settings, stderr=log) as server:
                try:
                    until(lambda: _events(log) >= {"server.started"}, within=60)
                    check = image.start(*image.health_check, environment=settings)
                    out, _ = check.communicate(timeout=60)
                    assert (check.returncode, b"liveness is SERVING" in out) == (0, True)
                    server.send_signal(signal.SIGTERM)
                    assert server.wait(30) == 0
                finally:
                    server.kill()
            assert "server.stopped" in _events(log)
        check = image.start(*image.health_check, environment=settings)
        check.communicate(timeout=60)
        assert check.returncode == 1


def _events(log: IO[bytes]) -> set[str]:
    text = os.pread(log.fileno(), 1 << 20, 0).decode()
    return {json.loads(line)["event"] for line in text.splitlines() if line.startswith("{")}


def test_it_has_all_bytecode(image: Image) -> None:
    """Nothing is compiled at the start, and everything that settings may need is there."""
    python = image.start(str(image.prefix / "bin" / "python"), "-c", WITHOUT_BYTECODE)
    out, _ = python.communicate(timeout=60)
    missing, _, loaded = out.decode().strip().rpartition(" ")
    assert (python.returncode, missing) == (0, "[]")
    assert int(loaded) > 500


def test_it_has_exactly_what_is_pinned(image: Image) -> None:
    """No pip, no tool of the build, and no package beside those of requirements/server.txt."""
    found = {each.name.split("-")[0].lower().replace("_", "-")
             for each in image.prefix.rglob("*.dist-info")}  # fmt: skip
    pinned = (ROOT / "requirements" / "server.txt").read_text("utf-8").splitlines()
    names = {line.split("==")[0] for line in pinned if "==" in line}
    assert "relevo" in found
    assert {each.replace(".", "-") for each in found} <= {*names, "relevo"}
    assert not (image.prefix / "bin" / "pip").exists()


def test_a_prefix_is_needed() -> None:
    """The script says what it wants if nobody names a prefix."""
    script = ROOT / "deploy" / "container" / "install.sh"
    done = subprocess.run(["sh", script], capture_output=True, text=True, check=False)  # noqa: S607
    assert (done.returncode != 0, "usage: install.sh PREFIX" in done.stderr) == (True, True)
