"""Relevo's pytest fixtures, which pytest loads by an entry point.

Every run of pytest imports this module if Relevo is installed, so it imports the rest of Relevo
only when a test requests a fixture.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from relevo_client.testing import LocalStore, RecordedCalls


@pytest.fixture
def relevo_store() -> "Iterator[LocalStore]":
    """A `LocalStore` that is empty and belongs to one test. Needs `relevo[testing]`."""
    from relevo_client.testing import LocalStore  # noqa: PLC0415

    with LocalStore() as store:
        yield store


@pytest.fixture
def relevo_calls() -> "RecordedCalls":
    """`RecordedCalls`, with interceptors for the test's servers. Needs `relevo[testing]`."""
    from relevo_client.testing import RecordedCalls  # noqa: PLC0415

    return RecordedCalls()
