"""A store, and clients of both kinds whose calls are counted."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from relevo_client import ContextEntry
from relevo_client._store.aio import AsyncStore
from relevo_client._store.blocking import Store
from relevo_server.server import Server, storage_of
from relevo_server.settings import Settings
from relevo_server.storage import Storage
from support.clients.either import KEY, KINDS, Either, opened
from support.clients.turning import METHODS, Held, Sent, write
from support.servers.shapes import Kind


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    """The calls that clients send."""
    sent = Sent()

    def counted(kind: Any, name: str) -> Any:
        original = getattr(kind, name)

        def call(self: Any, *args: Any, **options: Any) -> Any:
            sent.calls.append(name)
            return original(self, *args, **options)

        return call

    for kind in (AsyncStore, Store):
        for name in METHODS:
            monkeypatch.setattr(kind, name, counted(kind, name))
    return sent


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each kind of client."""
    kind: Kind = request.param
    return kind


@pytest.fixture
def store_url() -> str:
    """The embedded backend: what a client does is the same for all."""
    return "memory://"


@pytest.fixture
async def storage(settings: Settings) -> AsyncIterator[Storage]:
    """The server's backend."""
    storage = storage_of(settings)
    yield storage
    await storage.close()


@pytest.fixture
def held(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> Held:
    """Holds and fails the writes of snapshots."""
    return Held(storage, monkeypatch)


@pytest.fixture
async def server(settings: Settings, storage: Storage, held: Held) -> AsyncIterator[Server]:
    """A server within this process, whose writes may be held."""
    del held  # written before the server starts
    async with Server(settings, storage=storage) as running:
        yield running


@pytest.fixture
async def client(server: Server, kind: Kind) -> AsyncIterator[Either]:
    """A client with a cache."""
    async with opened(kind, server.address, timeout=10) as client:
        yield client


@pytest.fixture
async def other(server: Server, kind: Kind) -> AsyncIterator[Either]:
    """Another process's client."""
    async with opened(kind, server.address, timeout=10) as client:
        yield client


@pytest.fixture
async def entry(client: Either) -> ContextEntry:
    """The conversation, in the client's cache."""
    await write(client)
    await client.ask(lambda c: c.resolve(KEY))
    return await client.local(KEY)
