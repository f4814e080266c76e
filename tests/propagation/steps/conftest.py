"""No context is current before or after these tests."""

from collections.abc import (
    Iterator,
)

import pytest
from propagation.steps.functions import ENDED
from relevo_client import current_ref


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    """Check that no context is current before and after every test."""
    ENDED.clear()
    assert current_ref() is None
    yield
    assert current_ref() is None
