"""A store in memory, and OpenTelemetry's SDK."""

from collections.abc import Iterator

import pytest
from relevo_client.testing import LocalStore
from support.telemetry import recorded
from support.telemetry.recorded import Meters


@pytest.fixture
def store_url() -> str:
    """The embedded backend: what a client tells is the same with every backend."""
    return "memory://"


@pytest.fixture
def store() -> Iterator[LocalStore]:
    """A store with a client."""
    with LocalStore() as store:
        yield store


@pytest.fixture
def meters() -> Meters:
    """The metrics of this process."""
    return recorded.meters()
