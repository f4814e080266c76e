"""The matrix covers the documented servers and Pythons, and names only existing tests."""

from pathlib import Path

from matrix import plan, pythons
from matrix.servers import SERVERS

TESTS = Path(__file__).parents[1]
OPERATIONS = TESTS.parent / "docs" / "operations.md"


def test_the_servers_that_operators_are_promised() -> None:
    """The servers that docs/operations.md names are those that have legs."""
    redis, valkey = (
        ", ".join(name.removeprefix(kind) for name in SERVERS if name.startswith(kind))
        for kind in ("redis-", "valkey-")
    )
    assert f"proven on Redis {redis} and Valkey {valkey}." in OPERATIONS.read_text()
    assert {each.of for each in plan.legs("3.11")} >= SERVERS.keys()


def test_the_pythons_that_the_package_promises() -> None:
    """Each Python that pyproject.toml names has a leg, and the oldest is the one it requires."""
    assert pythons.supported() == ["3.11", "3.12", "3.13"]
    legs = {each.of for each in plan.legs("3.11")}
    assert legs == {*SERVERS, *(f"python-{each}" for each in pythons.supported())}


def test_a_sample_is_what_make_test_leaves() -> None:
    """A sample has no leg of the server and the Python that `make test` has run on."""
    of = {each.of for each in plan.sample("3.12", "redis-7.0")}
    assert of == {"redis-6.2", "redis-8.2", "valkey-8.1", "python-3.11", "python-3.13"}
    assert {each.of for each in plan.sample("3.14", "redis-7.2")} == {
        each.of for each in plan.legs("3.14")
    }


def test_what_stands_between() -> None:
    """A sample has one ring of what stands between two others; the whole matrix has all."""
    sample = list(plan.sample("3.11", "redis-6.2"))
    for of, ring in plan.BETWEEN.items():
        assert [each.ring for each in sample if each.of == of] == [ring]
        assert len([each for each in plan.legs("3.11") if each.of == of]) > 5
    assert len([each for each in sample if each.of == "redis-8.2"]) == len(plan.OF_SERVERS) + 1


def test_all_that_is_named_is_there() -> None:
    """Rings are folders of tests, and the exclusions of a sample are files in them."""
    for leg in (*plan.legs("3.11"), *plan.sample("3.12", "")):
        assert all((TESTS / each).is_dir() for each in leg.rings)
        assert all((TESTS / each).is_file() for each in leg.without)
