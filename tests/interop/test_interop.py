"""Relevo's store and services, as used with other languages' gRPC and protobuf libraries."""

import asyncio
import os

import pytest
from interop.building import DRIVERS
from interop.checks import CHECKS, REASONS
from interop.driving import NOBODYS, problems
from relevo.v1.store_pb2 import ErrorReason

# The first test builds the drivers.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module", params=["memory", "redis"])
def store_url(request: pytest.FixtureRequest) -> str:
    """The URL of each backend."""
    return "memory://" if request.param == "memory" else request.getfixturevalue("redis_url")


@pytest.fixture(scope="module", params=list(DRIVERS))
def found(request: pytest.FixtureRequest, store_url: str) -> dict[str, str | None]:
    """A driver's results for one backend; built and run once for all checks."""
    driver = DRIVERS[request.param]
    if driver.missing and os.environ.get("CI"):
        pytest.fail(driver.missing, pytrace=False)
    if driver.missing:
        pytest.skip(driver.missing)
    return asyncio.run(problems(driver, store_url))


@pytest.mark.parametrize("check", CHECKS)
def test_rule(found: dict[str, str | None], check: str) -> None:
    """The rule of each check in `checks.json` and `errors.json` holds in each language."""
    problem = found.get(check, "the driver did not come to it")
    if problem:
        pytest.fail(f"{CHECKS[check]}\n{problem}", pytrace=False)


def test_a_check_that_a_driver_has_not_is_a_problem(found: dict[str, str | None]) -> None:
    """A check that a driver lacks is reported as a problem."""
    assert found[NOBODYS] == "not implemented"


def test_every_reason_has_a_check() -> None:
    """Every reason of the contract has a check."""
    prefix = "ERROR_REASON_"
    reasons = {name.removeprefix(prefix) for name in ErrorReason.DESCRIPTOR.values_by_name}
    assert reasons - {"UNSPECIFIED"} == REASONS
