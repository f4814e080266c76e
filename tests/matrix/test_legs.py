"""A leg's result is that of its tests, and a leg that could not run is never good."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from matrix import pythons, servers
from matrix.__main__ import failed
from matrix.absent import AbsentError
from matrix.legs import Outcome, Run
from matrix.plan import Leg
from matrix.table import table
from nooble.redis_binary import binary

GOOD = Outcome(passed=3, skipped=1, seconds=61.4)
BAD = Outcome(passed=3, failed=1)
ABSENT = Outcome(absent="left out: there is no Python 3.12")
LEG = Leg("redis-6.2", ("contract/test_key_text.py",), "redis-6.2", pythons.own())


def test_a_leg(tmp_path: Path) -> None:
    """The tests run with the requested Python and server, and are counted."""
    server = tmp_path / "bin" / "redis-server"
    server.parent.mkdir()
    server.symlink_to(binary())
    run = Run(LEG, tmp_path)
    outcome = run(Path(sys.executable), server.parent)
    assert outcome.is_good
    assert outcome.passed > 10
    said = run.log.read_text()
    assert said.count(f"({server})") == 2, "the server at the beginning, and at the end"
    assert servers.described(server.parent).split()[1] in said


def test_a_leg_that_runs_no_test(tmp_path: Path) -> None:
    """A leg has failed if its pytest ran no test."""
    leg = replace(LEG, rings=("contract/key_vectors.json",))
    outcome = Run(leg, tmp_path)(Path(sys.executable), tmp_path)
    assert not outcome.is_good
    assert "pytest ended with" in outcome.ended


def test_what_is_not_here() -> None:
    """An unavailable leg is a failure only in CI; a failed one is a failure everywhere."""
    assert not failed([GOOD, ABSENT], is_ci=False)
    assert failed([GOOD, ABSENT], is_ci=True)
    assert failed([GOOD, BAD], is_ci=False)
    assert failed([], is_ci=False), "nothing was run"


def test_the_table() -> None:
    """The table has a line for each leg, with its numbers or its reason for none, and the sums."""
    legs = (replace(LEG, rings=("store",)), Leg("python-3.12", ("client",), "redis-8.2", "3.12"))
    assert table(dict(zip(legs, (GOOD, ABSENT), strict=True))).splitlines() == [
        "of            ring          passed  failed  skipped  seconds",
        "redis-6.2     store              3       0        1       61",
        "python-3.12   client       left out: there is no Python 3.12",
        "3 passed, 0 failed, 1 skipped",
    ]


def test_a_server_that_is_another(tmp_path: Path) -> None:
    """A server that reports another version than the requested one is not used."""
    program = tmp_path / "redis-server"
    program.write_text("#!/bin/sh\necho Redis server v=7.2.4 sha=0")
    program.chmod(0o755)
    assert servers.name_of(program) == "redis-7.2"
    program.write_text("#!/bin/sh\necho hello")
    with pytest.raises(AbsentError, match="no Redis"):
        servers.name_of(program)
