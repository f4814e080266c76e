"""Fixtures of tests in a browser. `make test-browser` runs them.

All run on one event loop, that of the browser: tests here are asynchronous, and their fixtures
are made with `looped`, of `support.browser.looping`.
"""

import os
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect
from support.browser import chromium
from support.browser.looping import looped
from support.browser.visits import TIMEOUT, Visits

expect.set_options(timeout=TIMEOUT)

_HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run each test on the browser's loop."""
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@looped(scope="session")
async def browser() -> AsyncGenerator[Browser]:
    """The browser. Without one the test is skipped; in CI it fails."""
    try:
        chromium.found()
    except chromium.NoChromiumError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    async with chromium.started() as browser:
        yield browser


@looped()
async def visits(browser: Browser) -> AsyncGenerator[Visits]:
    """Opens pages, and sees at the end that none of them had problems."""
    visits = Visits(browser)
    yield visits
    await visits.end()
