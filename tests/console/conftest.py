"""Stores, and consoles that look at them."""

from collections.abc import AsyncIterator, Iterator

import pytest
from relevo_client.testing import LocalStore
from support.console import ADMIN, PRINCIPALS, Served, console_of, fill


@pytest.fixture
def store() -> Iterator[LocalStore]:
    """A store that asks nobody who they are."""
    with LocalStore() as running:
        fill(running)
        yield running


@pytest.fixture
def guarded() -> Iterator[LocalStore]:
    """A store with principals."""
    with LocalStore(token=ADMIN, principals=PRINCIPALS) as running:
        fill(running)
        yield running


@pytest.fixture
async def console(store: LocalStore) -> AsyncIterator[Served]:
    """The console of the open store."""
    async with console_of(store.address) as served:
        yield served


@pytest.fixture
async def asking(guarded: LocalStore) -> AsyncIterator[Served]:
    """The console of the store with principals: whoever looks has to sign in."""
    async with console_of(guarded.address) as served:
        yield served
