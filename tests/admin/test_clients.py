"""ListClients: who is connected, how far behind, and how their caches do."""

import asyncio
import os
import socket
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

import pytest
from grpc import StatusCode
from relevo.admin.v1.admin_pb2 import ConnectedClient, ListClientsRequest
from relevo.v1.store_pb2 import CacheReport, ClientInfo, Ping, WatchRequest
from relevo_client import AsyncContextClient, CacheOptions, ContextClient, ContextKey
from relevo_client import ExecutionContext as Context
from relevo_server.server import Server
from relevo_server.settings import Settings
from support.clients.access import bearer, principal
from support.clients.admin import AdminStub, admin_of
from support.clients.calls import TIMEOUT, Stub, key
from support.clients.watching import Watch
from support.failures import failure_of
from support.waiting import until_async

KEY = ContextKey("conversation", "acme", "c1")


@pytest.fixture
def store_url() -> str:
    """Memory, as streams are the same for every backend."""
    return "memory://"


async def clients_of(admin: AdminStub, service_name: str = "") -> list[ConnectedClient]:
    """The connected clients of a service, or all."""
    request = ListClientsRequest(service_name=service_name)
    return list((await admin.ListClients(request, timeout=TIMEOUT)).clients)


async def some_clients(admin: AdminStub, count: int, service: str = "") -> list[ConnectedClient]:
    """The clients of a service, once there are so many who have said who they are."""

    async def are_there() -> bool:
        found = await clients_of(admin, service)
        return len(found) == count and all(each.client.library for each in found)

    await until_async(are_there)
    return await clients_of(admin, service)


@asynccontextmanager
async def watching(address: str, name: str) -> AsyncGenerator[AsyncContextClient, None]:
    """A client with a cache that watches a key."""
    options = CacheOptions(service_name=name, service_version="1.2")
    async with AsyncContextClient(address, cache=options, timeout=10) as client:
        await client.put(KEY, Context(user_id="u"))
        await client.resolve(KEY)
        yield client


async def test_an_asyncio_client(server: Server, admin: AdminStub) -> None:
    """A client is listed while its stream is open, with who it is and how its cache does."""
    assert await clients_of(admin) == []
    begun = time.time()
    async with watching(server.address, "orchestrator"):
        (found,) = await some_clients(admin, 1)
        assert found.client == ClientInfo(
            service_name="orchestrator",
            service_version="1.2",
            host_name=socket.gethostname(),
            process_id=os.getpid(),
            library=f"relevo-python/{version('relevo')}",
        )
        assert found.principal == ""
        assert "127.0.0.1" in found.peer
        assert begun - 1 < found.connect_time.ToMilliseconds() / 1000 < time.time() + 1
        assert found.HasField("cache")
        assert begun - 1 < found.report_time.ToMilliseconds() / 1000 < time.time() + 1
        assert found.subscriptions == 1
        assert found.resets == 0

    async def is_gone() -> bool:
        return not await clients_of(admin)

    await until_async(is_gone)


async def test_a_blocking_client(
    server: Server, admin: AdminStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A blocking client says the same; its names come from OpenTelemetry's environment."""
    monkeypatch.setenv("OTEL_SERVICE_NAME", "execution")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=other,service.version=2%2C0")

    def work() -> ContextClient:
        client = ContextClient(server.address, timeout=10)
        client.put(KEY, Context(user_id="u"))
        client.resolve(KEY)
        return client

    client = await asyncio.to_thread(work)
    try:
        (found,) = await some_clients(admin, 1)
        assert found.client.service_name == "execution"
        assert found.client.service_version == "2,0"
        assert found.client.process_id == os.getpid()
        assert found.cache.reconnects == 0
    finally:
        await asyncio.to_thread(client.close)


async def test_reports_go_on(
    server: Server, admin: AdminStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cache's counts arrive again and again, with the pings of its stream."""
    monkeypatch.setattr("relevo_client._near_cache.stream.REPORT_INTERVAL", 0.1)
    monkeypatch.setattr("relevo_client._near_cache.signs.RENEWAL", 0.1)
    async with watching(server.address, "orchestrator") as client:

        async def is_counted() -> bool:
            client.peek(KEY)
            (found,) = await clients_of(admin)
            return found.cache.hits > 5 and found.cache.entries == 1

        await until_async(is_counted)
        (found,) = await clients_of(admin)
        assert found.cache.bytes > 0
        assert found.cache.misses >= 1
        assert found.cache.HasField("staleness")


async def test_services_and_pages(server: Server, admin: AdminStub) -> None:
    """Clients are listed by service and in pages, those that connected first in front."""
    names = ["a", "b", "a", "b", "a"]
    clients = [watching(server.address, name) for name in names]
    for i, client in enumerate(clients, start=1):
        await client.__aenter__()
        await some_clients(admin, i)
    try:
        assert [each.client.service_name for each in await clients_of(admin)] == names
        assert len(await clients_of(admin, "a")) == 3
        assert await clients_of(admin, "c") == []
        found: list[str] = []
        token = ""
        while True:
            request = ListClientsRequest(page_size=2, page_token=token)
            page = await admin.ListClients(request, timeout=TIMEOUT)
            found += [each.client.service_name for each in page.clients]
            token = page.next_page_token
            if not token:
                break
        assert found == names
        wrong = ListClientsRequest(service_name="a", page_token=request.page_token)
        failure = await failure_of(admin.ListClients(wrong, timeout=TIMEOUT))
        assert failure.fields == ["page_token"]
    finally:
        for client in clients:
            await client.__aexit__(None, None, None)


async def test_what_clients_may_say(stub: Stub, admin: AdminStub) -> None:
    """What a client says of itself ends no stream: texts are cut, and unknown fields dropped."""
    async with Watch(stub) as watch, Watch(stub) as silent:
        info = ClientInfo(service_name="é" * 200, library="x", process_id=-1)
        known = CacheReport(hits=-5)
        report = CacheReport.FromString(known.SerializeToString() + b"\xa2\x06\x03new")
        watch.send(WatchRequest(ping=Ping(number=1), client=info, report=report))
        silent.subscribe(key())

        async def both() -> bool:
            found = await clients_of(admin)
            return len(found) == 2 and any(each.client.library for each in found)

        await until_async(both)
        told, untold = sorted(await clients_of(admin), key=lambda each: not each.client.library)
        assert told.client == ClientInfo(service_name="é" * 128, library="x", process_id=-1)
        assert told.cache == known
        assert untold.client == ClientInfo()
        assert not untold.HasField("cache")
        assert not untold.HasField("report_time")


async def test_who_may_ask(settings: Settings) -> None:
    """Clients are of all tenants: only an admin of all tenants sees them, with principals."""
    known = [principal("acme-admin", "acme", admin=True), principal("all", "*", admin=True)]
    async with (
        Server(settings.model_copy(update={"principals": known})) as server,
        admin_of(server.address) as admin,
        AsyncContextClient(server.address, token="acme-admin", timeout=10) as client,  # noqa: S106
    ):
        await client.put(KEY, Context())
        await client.resolve(KEY)
        request: Any = ListClientsRequest()

        async def is_there() -> bool:
            response = await admin.ListClients(request, metadata=bearer("all"), timeout=TIMEOUT)
            return [each.principal for each in response.clients] == ["acme-admin"]

        await until_async(is_there)
        failure = await failure_of(
            admin.ListClients(request, metadata=bearer("acme-admin"), timeout=TIMEOUT)
        )
        assert (failure.code, failure.reason) == (StatusCode.PERMISSION_DENIED, "TENANT_DENIED")
        assert failure.metadata == {}


@pytest.mark.parametrize(
    "request_, fields",
    [
        (ListClientsRequest(service_name="a\n"), ["service_name"]),
        (ListClientsRequest(page_size=-1), ["page_size"]),
        (ListClientsRequest(page_size=1001), ["page_size"]),
        (ListClientsRequest(page_token="x"), ["page_token"]),  # noqa: S106
    ],
)
async def test_malformed(admin: AdminStub, request_: ListClientsRequest, fields: list[str]) -> None:
    """Each broken rule of a ListClients is named by its field."""
    failure = await failure_of(admin.ListClients(request_, timeout=TIMEOUT))
    assert (failure.reason, failure.fields) == ("INVALID_FIELD", fields)
