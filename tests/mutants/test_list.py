"""The list of deliberate breaks fits the code: who changes a line that it breaks changes both."""

import ast
from collections import Counter

import pytest
from mutants.listed import PROBED, ROOT, Mutant, mutants
from relevo_probe.rules import Check

LISTED = mutants()
PROBES = mutants(PROBED)
CLIENT = {"_context", "_store", "_near_cache", "_client", "_propagation", "actions", "asgi"}
SERVER = {"service", "event_log", "wire", "storage", "errors", "settings.py", "cli"}

each_mutant = pytest.mark.parametrize("mutant", LISTED, ids=[each.name for each in LISTED])


@pytest.mark.parametrize(
    "mutant", [*LISTED, *PROBES], ids=[each.name for each in (*LISTED, *PROBES)]
)
def test_it_breaks_the_code_as_it_is(mutant: Mutant) -> None:
    """A break changes one place of its file, which can still be compiled."""
    source = (ROOT / mutant.file).read_text()
    broken = mutant.broken(source)
    assert broken != source
    if mutant.file.endswith(".py"):
        compile(broken, mutant.file, "exec")


@each_mutant
def test_its_tests_exist(mutant: Mutant) -> None:
    """A break names tests that exist: a file, or a function of it."""
    assert mutant.tests
    for test in mutant.tests:
        file, _, function = test.partition("::")
        tree = ast.parse((ROOT / file).read_text())
        names = {each.name for each in ast.walk(tree) if isinstance(each, _FUNCTIONS)}
        assert function.partition("[")[0] in names if function else names


_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@each_mutant
def test_it_names_its_rule(mutant: Mutant) -> None:
    """A break says what it breaks, in one line."""
    assert mutant.rule
    assert "\n" not in mutant.rule


@pytest.mark.parametrize("listed", [LISTED, PROBES], ids=["tests", "probe"])
def test_names_tell_them_apart(listed: list[Mutant]) -> None:
    """No two breaks have the same name."""
    assert len({mutant.name for mutant in listed}) == len(listed)


def test_the_probe_has_to_find_each_promise_broken() -> None:
    """Each check of the probe has a break of its promise, and each break a check that finds it."""
    assert all(mutant.finds and mutant.rule for mutant in PROBES)
    assert {check for mutant in PROBES for check in mutant.finds} == set(Check)


def test_every_wing_is_broken() -> None:
    """Each part of the client and of the server has breaks, and so has each rule N1 to N9."""
    parts = Counter(
        mutant.file.split("/")[2] for mutant in LISTED if not mutant.file.startswith("tools/")
    )
    assert CLIENT | SERVER | {"filters.py"} <= parts.keys()
    named = {mutant.rule.partition(":")[0] for mutant in LISTED}
    assert {f"N{number}" for number in range(1, 10)} <= named
    assert {"S1", "S2", "S3", "S4", "S5", "S8"} <= named, "S6 and S7 are not about one place"
