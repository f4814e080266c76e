"""Finds and starts a Chromium."""

import os
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, async_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_VARIABLE = "RELEVO_TEST_CHROMIUM"


class NoChromiumError(Exception):
    """There is no Chromium here."""


def found() -> str:
    """The path of the browser: of RELEVO_TEST_CHROMIUM, else of the PATH.

    Raises NoChromiumError.
    """
    path = os.environ.get(_VARIABLE) or next(filter(None, map(shutil.which, _NAMES)), None)
    if not path:
        raise NoChromiumError(
            f"no Chromium: install one (`apt-get install chromium`) or name it in {_VARIABLE}"
        )
    return path


@asynccontextmanager
async def started() -> AsyncGenerator[Browser]:
    """A browser without windows."""
    path = found()
    # Chromium's sandbox refuses root, which containers often are.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=arguments)
        try:
            yield browser
        finally:
            await browser.close()
