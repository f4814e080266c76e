"""Fixtures for pytest."""

from collections.abc import Iterator

import pytest

from relevo_client.testing import LocalStore, RecordedCalls


@pytest.fixture
def relevo_store() -> Iterator[LocalStore]:
    """An empty store of the test's own."""
    with LocalStore() as store:
        yield store


@pytest.fixture
def relevo_calls() -> RecordedCalls:
    """A record of calls; its interceptors are for the test's servers."""
    return RecordedCalls()
