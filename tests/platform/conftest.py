"""Platforms of real processes, on a real Redis. Each module that asks for one has its own."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from support.nooble import Platform
from support.redis_process import RedisProcess

SOON = 1.0
"""Seconds after which actions are delivered again, where a test waits for that."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def platform(request: pytest.FixtureRequest) -> AsyncIterator[Platform]:
    """A platform; a module's `TIMES` are its times."""
    times: dict[str, float] = getattr(request.module, "TIMES", {})
    with RedisProcess("--appendonly", "yes") as redis:
        async with Platform.running(redis, **times) as running:
            yield running
