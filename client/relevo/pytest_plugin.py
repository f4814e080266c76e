"""Fixtures for pytest, wherever Relevo is installed: an entry point of pytest's.

Every run of pytest there imports this module, so it imports nothing of Relevo's before a
fixture is asked for.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from relevo_client.testing import LocalStore, RecordedCalls


@pytest.fixture
def relevo_store() -> "Iterator[LocalStore]":
    """An empty store of the test's own. Needs `relevo[testing]`."""
    from relevo_client.testing import LocalStore  # noqa: PLC0415

    with LocalStore() as store:
        yield store


@pytest.fixture
def relevo_calls() -> "RecordedCalls":
    """A record of calls; its interceptors are for the test's servers. Needs `relevo[testing]`."""
    from relevo_client.testing import RecordedCalls  # noqa: PLC0415

    return RecordedCalls()
