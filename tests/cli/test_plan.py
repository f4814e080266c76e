"""`relevo plan`: it needs no server, and says what is needed in a table and as JSON."""

import subprocess
import sys

import pytest
from relevo_cli.terminal import columns
from relevo_plan.constants import measured
from relevo_plan.limits import limits
from relevo_plan.sizing import size
from relevo_plan.workload import PRESETS
from support.servers.outcome import Relevo


@pytest.mark.parametrize("preset", PRESETS)
def test_a_plan_in_a_pipe(offline: Relevo, preset: str) -> None:
    """It has at most 100 columns, no colours, and ends with the first limit and what to turn."""
    outcome = offline("plan", "--preset", preset)
    costs = measured().costs()
    assert outcome.err == ""
    assert outcome.code == (0 if size(PRESETS[preset], costs).is_possible else 1)
    assert max(map(columns, outcome.lines)) <= 100
    assert "\x1b" not in outcome.out
    first = limits(size(PRESETS[preset], costs), costs)[0]
    assert f"the first limit is     {first.name}" in outcome.out
    assert outcome.lines[0].startswith("servers ")


def test_json_has_what_the_table_has(offline: Relevo) -> None:
    """JSON has the workload with its changes, the rates, the needs, and all limits in order."""
    outcome = offline("plan", "--preset", "100k", "--layers", "0", "--sticky", "--output", "json")
    plan = outcome.json
    assert plan["workload"]["layers"] == 0
    assert plan["workload"]["is_sticky"] is True
    assert plan["workload"]["conversations"] == 100_000
    assert plan["needs"]["servers"] >= 2
    assert plan["demand"]["streams"] == 1_000
    shares = [each["share"] for each in plan["limits"]]
    assert shares == sorted(shares, reverse=True)
    assert "simulated" not in plan


def test_a_simulated_plan(offline: Relevo) -> None:
    """`--simulate` adds delays and the loss of a server; the same every time."""
    words = ("plan", "--turns-per-second", "20", "--processes-per-service", "4", "--simulate")
    outcome = offline(*words)
    assert outcome.code == 0
    assert "a server is lost: all near caches are current after" in outcome.out
    assert max(map(columns, outcome.lines)) <= 100
    assert offline(*words).out == outcome.out
    played = offline(*words, "--output", "json").json["simulated"]
    assert played["load"]["times"]["Put"]["p99"] > 0
    assert played["loss"]["current"] > 0


def test_a_plan_that_is_not_possible(offline: Relevo) -> None:
    """If every worker is busy with the logs alone, it says so and ends with 1."""
    outcome = offline("plan", "--preset", "1m", "--puts-per-turn", "2")
    assert outcome.code == 1
    assert "no number suffices" in outcome.lines[0]
    assert outcome.lines[1].startswith("cells ")
    assert "each worker's core, to follow the logs" in outcome.out


def test_the_constants(offline: Relevo) -> None:
    """`--constants` lists every figure with its source."""
    outcome = offline("plan", "--constants")
    assert outcome.code == 0
    names = [line.split()[0] for line in outcome.lines[1:]]
    assert names == [each.name for each in measured().constants]
    found = offline("plan", "--constants", "--output", "json").json
    assert [each["name"] for each in found] == names


@pytest.mark.parametrize(
    "words",
    [
        ("--conversations", "0"),
        ("--conversations", "1.5"),
        ("--turns-per-second", "-1"),
        ("--turns-per-second", "nan"),
        ("--turns-per-second", "inf"),
        ("--turns-per-conversation", "0.5"),
        ("--layers", "17"),
        ("--utilisation", "1"),
        ("--utilisation", "0"),
        ("--changes-per-second", "x"),
        ("--link-bits", "0"),
        ("--resolvers", "6"),
    ],
)
def test_numbers_that_cannot_be_meant(offline: Relevo, words: tuple[str, str]) -> None:
    """A wrong number is wrong usage, and names the flag."""
    outcome = offline("plan", *words)
    assert (outcome.code, outcome.out) == (2, "")
    assert f"argument {words[0]}: must be a" in outcome.message


def test_zero_is_a_number(offline: Relevo) -> None:
    """A platform without changes, and one without turns, has a plan."""
    assert offline("plan", "--changes-per-second", "0").code == 0
    assert offline("plan", "--turns-per-second", "0", "--changes-per-second", "0").code == 0


@pytest.mark.processes
def test_it_needs_neither_a_server_nor_an_extra() -> None:
    """The planner imports nothing but itself and the standard library."""
    program = (
        "import sys\n"
        "from relevo_plan import fleet, points\n"
        "foreign = {'grpc', 'redis', 'pydantic', 'relevo_server', 'relevo_client'}\n"
        "print(foreign & {*sys.modules})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "set()"
