"""An instrumented process: the test's own, until the test has ended."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from relevo_client import Instrumentation, instrument
from relevo_client.testing import LocalStore
from support.instrumenting import Instrument


@pytest.fixture
async def instrumented(store: LocalStore) -> AsyncIterator[Instrument]:
    """Instruments this process, with the store as the target, and undoes it at the end."""
    made: list[Instrumentation] = []

    def make(**arguments: Any) -> Instrumentation:
        given: dict[str, Any] = {"target": store.address, "timeout": 10, **arguments}
        made.append(instrument(**given))
        return made[-1]

    yield make
    for each in made:
        await each.aundo()
