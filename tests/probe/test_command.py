"""`relevo probe`: its options, its exit codes, its output and its metrics."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Generator
from urllib.request import urlopen

import pytest
from relevo_probe.partitions import tenants_of
from support.network.ports import ReservedPort
from support.servers.command import COMMAND, relevo
from support.servers.process import RelevoProcess, relevo_serve
from support.waiting import until


@pytest.fixture(scope="module")
def server() -> Generator[RelevoProcess]:
    """A server with few partitions."""
    with relevo_serve("--store", "memory://", "--partitions", "2") as running:
        yield running


def test_a_healthy_store(server: RelevoProcess) -> None:
    """`--for` ends the run with a summary and exit code 0, several servers may be named."""
    options = ("--for", "3s", "--rate", "20", "--output", "json")
    outcome = relevo("probe", server.address, server.address, *options)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.json["result"] == "ok"
    assert outcome.json["partitions"] == 2
    assert outcome.json["writes"] > 0


def test_it_runs_until_it_is_interrupted(server: RelevoProcess) -> None:
    """Without `--for`, SIGINT ends the run; metrics are there for Prometheus meanwhile."""
    with ReservedPort() as reserved:
        address = f"127.0.0.1:{reserved.number}"
        options = ("--server", server.address, "--rate", "20", "--metrics-listen", address)
        with subprocess.Popen(
            [*COMMAND, "probe", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                until(lambda: _has_checked(address), within=60, what="checks")
            finally:
                process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert re.search(r"^age +[1-9]\d* +0$", out, re.MULTILINE)
    assert out.endswith("no violation\n")


def _has_checked(address: str) -> bool:
    try:
        with urlopen(f"http://{address}/metrics", timeout=5) as response:
            text = response.read().decode()
    except OSError:
        return False
    if "relevo_probe_violations_total{" not in text:
        return False  # it listens before it has figures
    assert re.search(r"^relevo_probe_violations_total{[^}]*} [1-9]", text, re.MULTILINE) is None
    return bool(re.search(r'^relevo_probe_checks_total{[^}]*"age"[^}]*} [1-9]', text, re.MULTILINE))


def test_no_store() -> None:
    """A store that cannot be reached is no violation: exit code 3."""
    with ReservedPort() as port:
        outcome = relevo("probe", f"127.0.0.1:{port.number}", "--for", "1s", "--timeout", "0.2")
    assert outcome.code == 3
    assert "nothing was checked" in outcome.out


@pytest.mark.parametrize(
    "options, message",
    [
        (["--for", "soon"], "must be a time, such as 60s"),
        (["--rate", "0"], "must be a number above 0"),
        (["--partitions", "0"], "must be a whole number from 1 to 16384"),
        (["--list-tenants"], "--list-tenants needs --partitions"),
        (["--metrics-listen", "127.0.0.1:1x"], "--metrics-listen: must be an address and a TCP"),
        (["--metrics-listen", "unix:/run/probe"], "--metrics-listen: must be an address and a TCP"),
        (["127.0.0.1:1", ""], "TARGET: must be an address"),
        (["--cert", "nowhere.pem"], "--cert and --key go together"),
    ],
)
def test_wrong_usage(options: list[str], message: str) -> None:
    """Wrong usage is exit code 2, and is said before anything is sent."""
    outcome = relevo("probe", *options)
    assert outcome.code == 2
    assert message in outcome.err
    assert "Traceback" not in outcome.err


def test_the_tenants_that_it_needs() -> None:
    """`--list-tenants` says which tenants the probe's principal has to have."""
    outcome = relevo("probe", "--list-tenants", "--partitions", "64")
    assert outcome.code == 0
    assert outcome.lines == list(tenants_of("relevo-probe", 64).values())


BROKEN = """
import sys
from relevo_client._near_cache.machine import NearCache
lookup = NearCache.lookup

def served(cache, key, fence, now):
    lookup(cache, key, fence, now)
    return cache.last_known(key, now)

NearCache.lookup = served
from relevo_cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_violation(server: RelevoProcess) -> None:
    """A broken promise is exit code 1; it is said on stderr at once, and in the summary."""
    options = ("--rate", "20", "--until-violation", "--for", "60s", "--output", "json")
    done = subprocess.run(
        [sys.executable, "-c", BROKEN, "probe", server.address, *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    assert done.returncode == 1
    assert "relevo probe: VIOLATION: " in done.stderr
    document = json.loads(done.stdout)
    assert document["result"] == "violated"
    assert document["first_violations"][0]["key"].startswith("relevo_probe")
