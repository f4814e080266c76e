"""A store for the programs of the how-to pages, which find it at the addresses that they name."""

from collections.abc import Callable, Iterator
from types import ModuleType

import pytest
from relevo_client.testing import LocalStore
from support.network.ports import ReservedPort

Placed = Callable[..., None]


@pytest.fixture
def store() -> Iterator[LocalStore]:
    """A store in memory."""
    with LocalStore() as running:
        yield running


@pytest.fixture
def placed(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> Placed:
    """Gives a program other addresses than those on its page: the test's store, and others."""

    def place(program: ModuleType, **addresses: str) -> None:
        for name, address in {"STORE": store.address, **addresses}.items():
            monkeypatch.setattr(program, name, address)

    return place


@pytest.fixture
def address() -> Iterator[str]:
    """The address of a service."""
    with ReservedPort() as port:
        yield f"127.0.0.1:{port.number}"


@pytest.fixture
def other_address() -> Iterator[str]:
    """The address of another service."""
    with ReservedPort() as port:
        yield f"127.0.0.1:{port.number}"
