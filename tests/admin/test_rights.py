"""Who may call the Admin service: principals with `admin`, for the tenants that they may use."""

from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping
from typing import Any

import pytest
from grpc import StatusCode
from relevo.admin.v1.admin_pb2 import (
    ChangesRequest,
    ExplainRequest,
    GetStatusRequest,
    GetUsageRequest,
    ListClientsRequest,
    ListKeysRequest,
    ListPartitionsRequest,
    ListTopTenantsRequest,
)
from relevo.v1.store_pb2 import TenantSelector
from relevo_server.identities import Principal
from relevo_server.server import Server
from relevo_server.settings import Settings
from support.clients.access import bearer, principal
from support.clients.admin import AdminStub, admin_of
from support.clients.calls import TIMEOUT, Stub, get, key
from support.failures import failure_of

PRINCIPALS = (
    principal("reader", "acme"),
    principal("all-reader", "*"),
    principal("acme-admin", "acme", admin=True),
    principal("all-admin", "*", admin=True),
)


@pytest.fixture
def store_url() -> str:
    """Memory, as rights are the same for every backend."""
    return "memory://"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings of a server that knows readers and admins."""
    return settings.model_copy(update={"principals": PRINCIPALS})


@pytest.fixture
async def open_server(settings: Settings) -> AsyncIterator[Server]:
    """A server without principals."""
    async with Server(settings.model_copy(update={"principals": ()})) as running:
        yield running


async def first_of(stream: Any) -> object:
    """The first message of a stream, or its end."""
    return await stream.read()


def of_the_server(admin: AdminStub, **rest: Any) -> Iterator[Awaitable[object]]:
    """Calls that name no tenant, and show none."""
    yield admin.GetStatus(GetStatusRequest(), timeout=TIMEOUT, **rest)
    yield admin.ListPartitions(ListPartitionsRequest(), timeout=TIMEOUT, **rest)


def of_a_tenant(admin: AdminStub, tenant: str, **rest: Any) -> Iterator[Awaitable[object]]:
    """Calls that name a tenant."""
    yield admin.ListKeys(ListKeysRequest(tenant_id=tenant), timeout=TIMEOUT, **rest)
    yield admin.GetUsage(GetUsageRequest(tenant_id=tenant), timeout=TIMEOUT, **rest)
    for request in (
        ChangesRequest(tenant=TenantSelector(tenant_id=tenant)),
        ChangesRequest(key=key(tenant=tenant)),
    ):
        yield first_of(admin.Changes(request, timeout=TIMEOUT, **rest))


def of_all_tenants(admin: AdminStub, **rest: Any) -> Iterator[Awaitable[object]]:
    """Calls about all tenants."""
    yield admin.ListClients(ListClientsRequest(), timeout=TIMEOUT, **rest)
    yield admin.ListTopTenants(ListTopTenantsRequest(), timeout=TIMEOUT, **rest)


def all_calls(admin: AdminStub, **rest: Any) -> Iterator[Awaitable[object]]:
    """A call of every kind."""
    yield from of_the_server(admin, **rest)
    yield from of_all_tenants(admin, **rest)
    yield from of_a_tenant(admin, "acme", **rest)


async def test_a_call_without_a_token(admin: AdminStub) -> None:
    """Every call without a known token is UNAUTHENTICATED."""
    for metadata in ((), bearer("nobody")):
        for call in all_calls(admin, metadata=metadata):
            failure = await failure_of(call)
            assert (failure.code, failure.reason) == (StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")


@pytest.mark.parametrize("token", ["reader", "all-reader"])
async def test_a_caller_who_is_no_admin(admin: AdminStub, stub: Stub, token: str) -> None:
    """A principal without `admin` is ROLE_DENIED, and the store is open to it as before."""
    for call in all_calls(admin, metadata=bearer(token)):
        failure = await failure_of(call)
        assert (failure.code, failure.reason) == (StatusCode.PERMISSION_DENIED, "ROLE_DENIED")
        assert failure.metadata == {"role": "admin"}
    assert (await failure_of(get(stub, key()))).reason == "UNAUTHENTICATED"


@pytest.mark.parametrize("token", ["acme-admin", "all-admin"])
async def test_an_admin(admin: AdminStub, token: str) -> None:
    """An admin may ask about the server, and about its tenants."""
    for call in (
        *of_the_server(admin, metadata=bearer(token)),
        *of_a_tenant(admin, "acme", metadata=bearer(token)),
    ):
        await call


async def test_an_admin_of_other_tenants(admin: AdminStub) -> None:
    """An admin may not ask about a tenant that it may not use."""
    for call in of_a_tenant(admin, "globex", metadata=bearer("acme-admin")):
        failure = await failure_of(call)
        assert (failure.code, failure.reason) == (StatusCode.PERMISSION_DENIED, "TENANT_DENIED")
        assert failure.metadata == {"tenant_id": "globex"}


async def test_calls_about_all_tenants(admin: AdminStub) -> None:
    """What is about all tenants is open to an admin of all tenants only."""
    for call in of_all_tenants(admin, metadata=bearer("all-admin")):
        await call
    for call in of_all_tenants(admin, metadata=bearer("acme-admin")):
        failure = await failure_of(call)
        assert (failure.code, failure.reason) == (StatusCode.PERMISSION_DENIED, "TENANT_DENIED")
        assert failure.metadata == {}


async def test_an_explanation_needs_the_tenant(admin: AdminStub) -> None:
    """A context is explained to an admin of its tenant only."""
    for token, reason in (("acme-admin", "TENANT_DENIED"), ("reader", "ROLE_DENIED")):
        request = ExplainRequest(key=key(tenant="globex"))
        call = admin.Explain(request, metadata=bearer(token), timeout=TIMEOUT)
        assert (await failure_of(call)).reason == reason


async def test_a_server_without_principals(open_server: Server) -> None:
    """Without principals everyone may ask everything, as everyone may do everything."""
    async with admin_of(open_server.address) as admin:
        for call in all_calls(admin):
            await call


@pytest.mark.parametrize(
    "values, problem",
    [
        ({"name": ""}, "must not be empty"),
        ({"name": "a\nb"}, "must not contain control characters"),
        ({"name": "x" * 257}, "must have at most 256 bytes"),
        ({"admin": "perhaps"}, "valid boolean"),
    ],
)
def test_malformed_principals(values: Mapping[str, Any], problem: str) -> None:
    """A principal's name is a text for logs, and `admin` is a truth value, false by default."""
    sound = {"name": "n", "token_sha256": "0" * 64, "tenants": ["acme"]}
    assert not Principal.model_validate(sound).admin
    with pytest.raises(ValueError, match=problem):
        Principal.model_validate(sound | dict(values))
