"""The load generator, built once and started for each test."""

from collections.abc import AsyncIterator

import pytest
from scale.scripted import ScriptedStore, scripted_store

from benchmarks.scale.generator import MISSING, Generator, generator


@pytest.fixture
async def load() -> AsyncIterator[Generator]:
    """A generator's process."""
    if MISSING:
        pytest.skip(MISSING)
    async with generator() as started:
        yield started


@pytest.fixture
async def store() -> AsyncIterator[ScriptedStore]:
    """A store that the test plays."""
    async with scripted_store() as started:
        yield started
