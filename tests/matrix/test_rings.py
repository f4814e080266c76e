"""The rings: nothing is left out of all of them together, and the quick one stays quick."""

import os
import re
import shutil
import subprocess
import sys
from itertools import combinations, product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matrix import plan
from support.rings.guard import no_processes
from support.rings.samples import pairwise

ROOT = Path(__file__).parents[2]
VALUES = st.sampled_from("abc")
ROWS = st.lists(st.tuples(VALUES, VALUES, VALUES, VALUES), max_size=60)


def pairs(rows: list[tuple[str, ...]]) -> set[object]:
    """The pairs of values that rows have, with the parameters that they are of."""
    return {pair for row in rows for pair in combinations(enumerate(row), 2)}


@given(rows=ROWS)
def test_a_sample_has_every_pair(rows: list[tuple[str, ...]]) -> None:
    """Each pair of values that some row has is in a row of the sample."""
    numbers = pairwise(rows)
    assert numbers == sorted(set(numbers))
    assert pairs([rows[number] for number in numbers]) == pairs(rows)


def test_a_sample_is_small() -> None:
    """Of 81 rows of four parameters with three values each, less than a quarter are enough."""
    rows = list(product("abc", repeat=4))
    assert 9 <= len(pairwise(rows)) < 20
    assert pairwise(rows) == pairwise(rows)


@pytest.mark.parametrize("rows", [[()], [("a",), ("b",)], list(product("abc", repeat=2))])
def test_few_parameters_are_all_kept(rows: list[tuple[str, ...]]) -> None:
    """Without three parameters there is nothing to choose from."""
    assert pairwise(rows) == [*range(len(rows))]


def test_a_quick_test_starts_no_process() -> None:
    """It is told what to do instead, however it tries, and the next test may start one again."""
    with no_processes():
        for start in (lambda: subprocess.run([sys.executable, "-V"], check=True), os.fork):
            with pytest.raises(RuntimeError, match="mark the test with `processes`"):
                start()
    subprocess.run([sys.executable, "-V"], check=True, capture_output=True)


def collected(marks: str, *paths: str) -> list[str]:
    """The tests that these marks select."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "-m", marks, *paths], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [line for line in done.stdout.splitlines() if "::" in line]


def test_what_is_quick() -> None:
    """What runs in memory is quick; on Redis one file is; what starts processes is not."""
    ttl, smoke, forks = "store/test_ttl.py", "store/test_round_trip.py", "client/test_forks.py"
    clients, ports = "client/test_loaders.py", "faults/test_ports.py"
    both = "near_cache/test_refill.py"  # its tests have backends of their own
    every = (ttl, smoke, forks, clients, ports, both)
    quick = collected("quick", *(f"tests/{each}" for each in every))
    assert {line.partition("::")[0] for line in quick} == {
        f"tests/{e}" for e in (ttl, smoke, clients)
    }
    assert {line.partition("::")[0] for line in quick if "redis" in line} == {f"tests/{smoke}"}
    assert not [line for line in quick if "test_one_process_renews" in line], "it is of `timing`"


GROUPED = """
import os

import pytest

@pytest.fixture(scope="module", params=["a", "b"])
def shared(request):
    with open(f"made-{request.param}-{os.getpid()}", "w"):
        return request.param

@pytest.mark.parametrize("number", range(5))
def test_something(shared, number):
    pass
"""
CONFTEST = """
import pytest
from support.rings import marks

@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    marks.mark(items)
"""


def test_what_is_shared_is_made_once(tmp_path: Path) -> None:
    """Of several processes that run tests, one makes what a module's tests share.

    Nothing fails if xdist ignores the groups: the tests only take much longer.
    """
    tests = tmp_path / "tests"
    tests.mkdir()
    for name, text in (("conftest.py", CONFTEST), ("test_grouped.py", GROUPED)):
        (tests / name).write_text(text)
    parallel = ("-n", "2", "--dist", "loadgroup", "-p", "no:cacheprovider")
    command = [sys.executable, "-m", "pytest", "-q", *parallel, "-c", "/dev/null", "tests"]
    command += ["--rootdir", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "10 passed" in done.stdout, done.stdout + done.stderr
    made = sorted(path.name.split("-")[1] for path in tmp_path.glob("made-*"))
    assert made == ["a", "b"]


def test_a_ring_without_tests_is_a_failure() -> None:
    """Only a run of some tests, which TEST names, may find none in one of its rings."""
    make = shutil.which("make")
    assert make
    for which, may_be_empty in ("", False), ("tests/store", True):
        command = [make, "--dry-run", "test", f"TEST={which}"]
        recipe = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
        assert len(re.findall("pytest .*-m ", recipe)) == 2
        assert ("-eq 5" in recipe) is may_be_empty


def test_nothing_is_left_out() -> None:
    """`make test` runs all tests that are not long and need no browser, as each leg does."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    recipe = re.findall(r"^test: .*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    marks = re.findall(r'-m "([^"]*)"', recipe[0])
    assert marks == [
        "not long and not timing and not browser",
        "timing and not long and not browser",
    ]
    assert {leg.marks for leg in plan.legs("3.11")} == set(marks)
    beside_others, timing = marks
    assert {leg.marks for leg in plan.sample("3.12", "redis-7.0")} == {
        f"processes and not memory and {beside_others}",
        f"processes and not memory and {timing}",
        f"(quick or processes) and not redis and {beside_others}",
        f"not redis and {timing}",
    }


def test_the_tests_that_promise_a_time_are_in_one_leg() -> None:
    """Each server and each Python has all of its rings' timing tests in one leg."""
    legs = [*plan.legs("3.11"), *plan.sample("3.12", "redis-7.0")]
    for of in {leg.of for leg in legs}:
        timing = {leg.rings for leg in legs if leg.of == of and leg.is_timing}
        assert timing == {plan.OF_PYTHONS if of.startswith("python-") else plan.OF_SERVERS}
