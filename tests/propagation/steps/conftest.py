"""Nothing is current where these tests begin, nor where they end."""

from collections.abc import (
    Iterator,
)

import pytest
from propagation.steps.functions import ENDED
from relevo_client import current_ref


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    """Every test begins and ends with nothing current."""
    ENDED.clear()
    assert current_ref() is None
    yield
    assert current_ref() is None
