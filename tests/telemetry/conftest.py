"""A store in memory, and OpenTelemetry's SDK."""

import pytest
from support.telemetry.recorded import Meters, meters


@pytest.fixture
def store_url() -> str:
    """The embedded backend: what a client tells is the same with every backend."""
    return "memory://"


@pytest.fixture(name="meters")
def recorded_meters() -> Meters:
    """The metrics of this process."""
    return meters()
