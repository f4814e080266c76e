"""`relevo demo --platform`: the measured run in real processes."""

import json
import signal
import subprocess
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest
from nooble.measuring import broken_promises
from nooble.records import Result
from nooble.wiring import MODES
from relevo_demo import files
from support.platform.nooble import has_ended
from support.servers.command import COMMAND, relevo
from support.servers.outcome import complaints
from support.waiting import until

SHORT = ("demo", "--platform", "--laps", "1", "--turns", "2")
TURNS = 4 * 2 + 2 * 3
"""Of four long conversations and two short ones."""
CONFIGURATIONS = len(files.configurations())
ALL = len(MODES) * (4 + 8) + 1
"""The processes of all platforms: each has two Redis, which another process starts, and eight of
its services; one has a store."""

pytestmark = pytest.mark.timeout(400)


class Measured(NamedTuple):
    """A completed run."""

    done: "subprocess.CompletedProcess[str]"
    results: list[dict[str, Any]]
    chart: bytes


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """A short run in all modes."""
    folder = tmp_path_factory.mktemp("measured")
    files = {"chart": folder / "chart.png", "json": folder / "results.json"}
    options = [part for name, file in files.items() for part in (f"--{name}", str(file))]
    done = subprocess.run(
        [*COMMAND, *SHORT, *options], capture_output=True, text=True, timeout=300, check=False
    )
    results = json.loads(files["json"].read_text("utf-8"))
    return Measured(done, results, files["chart"].read_bytes())


def test_it_keeps_its_promises(measured: Measured) -> None:
    """The run exits with 0 and no complaints, and its report fits into 100 columns."""
    assert (measured.done.returncode, complaints(measured.done.stderr)) == (0, [])
    lines = measured.done.stdout.splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[0].startswith("Relevo platform: six services")
    assert any(line.split() == ["turns", *[str(TURNS)] * 3] for line in lines)


def test_the_chart(measured: Measured) -> None:
    """The chart is a complete PNG."""
    assert measured.chart.startswith(b"\x89PNG\r\n\x1a\n")
    assert measured.chart.endswith(b"IEND\xaeB`\x82")


def test_the_results(measured: Measured) -> None:
    """Each mode had the same turns, and none failed; with Relevo none was outdated or disagreed."""
    assert [result["mode"] for result in measured.results] == list(MODES)
    for result in measured.results:
        assert (result["turns"], result["failed"]) == (TURNS, 0)
        assert 0 < result["p50"] <= result["p95"] <= result["p99"]
    none, redis_json, with_relevo = measured.results
    assert (with_relevo["outdated"], with_relevo["disagreed"]) == (0, 0)
    # Seven steps of each turn read a configuration; or each conversation once, at least; or four
    # agents and their eight collections once each.
    assert none["management_calls"] == 7 * TURNS
    assert redis_json["management_calls"] >= 6
    assert with_relevo["management_calls"] == 12
    assert none["store_calls"] == redis_json["store_calls"] == 0
    assert with_relevo["store_calls"] > 0


@contextmanager
def run_with(processes: int) -> Generator[tuple[psutil.Popen, list[psutil.Process]]]:
    """A run that has started so many processes at least, and all that it has started."""
    process = psutil.Popen(
        [*COMMAND, "demo", "--platform", "--laps", "1000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    started: list[psutil.Process] = []
    try:
        until(
            lambda: len(process.children(recursive=True)) >= processes, within=120, what="its start"
        )
        started = process.children(recursive=True)
        yield process, started
    finally:
        for each in [process, *started]:  # only if a test failed
            with suppress(psutil.NoSuchProcess):
                each.kill()
        process.communicate(timeout=10)


@pytest.mark.parametrize(
    "number, processes",
    [(signal.SIGTERM, 5), (signal.SIGINT, ALL)],
    ids=["while it starts", "midway"],
)
def test_an_interrupted_run(number: signal.Signals, processes: int) -> None:
    """An interrupted run ends all its processes first, and reports that it was interrupted."""
    with run_with(processes) as (process, started):
        process.send_signal(number)
        _, errors = process.communicate(timeout=120)
        assert all(has_ended(each.pid) for each in started)
    assert (process.returncode, complaints(errors)) == (130, ["relevo demo: interrupted"])


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--platform", "--laps", "0"], "--laps: must be a whole number from 1"),
        (["--platform", "--turns", "few"], "--turns: must be a whole number from 1"),
        (["--platform", "--store", "memory://"], "--store: not with --platform"),
        (["--platform", "--all"], "--all: not with --platform"),
        (["--platform", "--replicas", "0"], "--replicas: must be a whole number from 1"),
        (["--laps", "2"], "--laps: only with --platform"),
        (["--replicas", "2"], "--replicas: only with --platform"),
        (["--strip-metadata"], "--strip-metadata: only with --platform"),
        (["--turns", "2"], "--turns: only with --platform"),
        (["--chart", "chart.png"], "--chart: only with --platform"),
    ],
)
def test_wrong_arguments(arguments: list[str], message: str) -> None:
    """Wrong arguments are reported at once, with exit code 2."""
    outcome = relevo("demo", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.message == f"relevo demo: error: argument {message}"


@pytest.mark.parametrize("option", ["--chart", "--json"])
def test_a_file_that_cannot_be_written(tmp_path: Path, option: str) -> None:
    """A file that cannot be written is reported before any measurement."""
    file = tmp_path / "nowhere" / "file"
    outcome = relevo("demo", "--platform", option, str(file))
    assert (outcome.code, outcome.out) == (1, "")
    assert "No such file" in outcome.message
    assert str(file) in outcome.message


def result(mode: Any, **values: int) -> Result:
    """The results of a mode in a long run without problems."""
    calls = {"none": 6000, "redis-json": 50, "relevo": 12}[mode]
    counts = {"turns": 900, "failed": 0, "outdated": 0, "disagreed": 0, "management_calls": calls}
    store = {"store_calls": 0, "later_turns": 880, "later_store_calls": 0, "redis_calls": 0}
    times = {"first_p50": 0.5, "p50": 0.1, "p95": 0.2, "p99": 0.3}
    fields: dict[str, Any] = {"changes": 20, **counts, **store, **times, **values}
    return Result(mode, **fields)


@pytest.mark.parametrize(
    "mode, values, problems",
    [
        ("relevo", {}, []),
        ("relevo", {"failed": 1}, ["turns have failed"]),
        ("none", {"failed": 1}, ["turns have failed"]),
        ("relevo", {"outdated": 2}, ["2 turns used outdated configuration"]),
        ("none", {"outdated": 2, "disagreed": 2}, []),
        ("relevo", {"disagreed": 3}, ["in 3 turns two services disagreed"]),
        ("relevo", {"management_calls": CONFIGURATIONS + 20}, []),
        (
            "relevo",
            {"management_calls": CONFIGURATIONS + 21},
            ["agent management was asked more than once per configuration and change"],
        ),
        ("relevo", {"later_store_calls": 88}, []),
        ("relevo", {"later_store_calls": 89}, ["the store was asked 0.10 times a turn"]),
        # Too short to be judged.
        ("relevo", {"later_turns": 8, "later_store_calls": 9, "changes": 1}, []),
    ],
)
def test_promises(mode: str, values: dict[str, int], problems: list[str]) -> None:
    """A run fails if Relevo breaks its promises, or if a turn failed in any mode."""
    results = [result(each, **(values if each == mode else {})) for each in MODES]
    assert broken_promises(results) == problems
