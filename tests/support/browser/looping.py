"""The event loop of tests in a browser: one for all of them, which is the browser's."""

from functools import partial

import pytest_asyncio

looped = partial(pytest_asyncio.fixture, loop_scope="session")
"""Makes an asynchronous fixture of a test in a browser, as `pytest.fixture` does."""
