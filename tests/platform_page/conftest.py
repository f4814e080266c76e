"""The page on a real platform. Each module has its own."""

from collections.abc import AsyncIterator

import pytest_asyncio
from support.platform.page import ServedPage, served_page


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served() -> AsyncIterator[ServedPage]:
    """The page."""
    async with served_page() as page:
        yield page
