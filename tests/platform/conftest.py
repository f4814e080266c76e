"""Platforms of real processes on a real Redis. Each module has its own."""

from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
import pytest_asyncio
from support.platform.nooble import Platform
from support.redis.process import RedisProcess


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def platform(request: pytest.FixtureRequest) -> AsyncIterator[Platform]:
    """A platform; a module's `TIMES` are its times."""
    module = cast("Any", request).module
    times: dict[str, float] = getattr(module, "TIMES", {})
    with RedisProcess("--appendonly", "yes", "--appendfsync", "no") as redis:
        async with Platform.running(redis, **times) as running:
            yield running


@pytest.fixture
async def own_platform() -> AsyncIterator[Platform]:
    """A platform for a test that breaks it."""
    with RedisProcess() as redis:
        async with Platform.running(redis, redeliver_after=1.0) as running:
            yield running
