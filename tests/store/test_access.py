"""Access: bearer tokens, and the tenants that each of them opens."""

from collections.abc import AsyncIterator, Awaitable, Iterator
from hashlib import sha256
from typing import Any

import pytest
from grpc import StatusCode, aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from relevo.v1 import store_pb2
from relevo_server.server import Server
from relevo_server.settings import Settings
from support.clients.access import bearer, principal
from support.clients.calls import TIMEOUT, Stub, context, key
from support.clients.watching import Watch
from support.failures import failure_in, failure_of

TOKENS = {"acme-token": ("acme",), "both-token": ("acme", "globex"), "all-token": ("*",)}


@pytest.fixture
async def server(settings: Settings) -> AsyncIterator[Server]:
    """A server that knows three callers."""
    principals = tuple(principal(token, *tenants) for token, tenants in TOKENS.items())
    async with Server(settings.model_copy(update={"principals": principals})) as running:
        yield running


def calls(stub: Stub, tenant: str, metadata: Any) -> Iterator[Awaitable[object]]:
    """One call of each kind for a tenant; each is sent when its function is called."""
    named = key(tenant=tenant)
    rest: dict[str, Any] = {"metadata": metadata, "timeout": TIMEOUT}
    yield stub.Put(store_pb2.PutRequest(key=named, context=context()), **rest)
    yield stub.Get(store_pb2.GetRequest(key=named), **rest)
    keys = store_pb2.ContextKeys(keys=[named])
    yield stub.Invalidate(store_pb2.InvalidateRequest(keys=keys), **rest)
    selector = store_pb2.TenantSelector(tenant_id=tenant)
    yield stub.Invalidate(store_pb2.InvalidateRequest(tenant=selector), **rest)
    yield stub.Lease(store_pb2.LeaseRequest(key=named), **rest)
    yield stub.Release(store_pb2.ReleaseRequest(key=named, lease_token="t"), **rest)  # noqa: S106


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        (("authorization", "acme-token"),),
        (("authorization", "Basic acme-token"),),
        (("authorization", "Digest acme-token"),),
        (("authorization", "Bearer"),),
        (("authorization", "Bearer "),),
        (("authorization", "Bearer nobody"),),
        (("authorization", "Bearer  acme-token"),),
        (("authorization", f"Bearer {sha256(b'acme-token').hexdigest()}"),),
        (("x-authorization", "Bearer acme-token"),),
    ],
    ids=[
        "none",
        "no scheme",
        "basic",
        "digest",
        "no token",
        "empty",
        "unknown",
        "space",
        "hash",
        "other",
    ],
)
async def test_without_a_token_nothing_is_answered(stub: Stub, metadata: Any) -> None:
    """Any call without a known token is UNAUTHENTICATED."""
    for call in calls(stub, "acme", metadata):
        failure = await failure_of(call)
        assert (failure.code, failure.reason) == (StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")
        assert failure.domain == "relevo"


@pytest.mark.parametrize(
    "token, tenant", [("acme-token", "acme"), ("both-token", "globex"), ("all-token", "initech")]
)
async def test_a_token_opens_its_tenants(stub: Stub, token: str, tenant: str) -> None:
    """Every call for a tenant of the token is answered."""
    for call in calls(stub, tenant, bearer(token)):
        await call


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer"])
async def test_the_schemes_case_does_not_matter(stub: Stub, scheme: str) -> None:
    """The authentication scheme `Bearer` is accepted in any case, as HTTP requires."""
    for call in calls(stub, "acme", (("authorization", f"{scheme} acme-token"),)):
        await call


@pytest.mark.parametrize(
    "token, tenant", [("acme-token", "globex"), ("both-token", "initech"), ("acme-token", "*")]
)
async def test_a_token_opens_no_other_tenant(stub: Stub, token: str, tenant: str) -> None:
    """Any call for another tenant is PERMISSION_DENIED, and its error names that tenant."""
    for call in calls(stub, tenant, bearer(token)):
        failure = await failure_of(call)
        assert (failure.code, failure.reason) == (StatusCode.PERMISSION_DENIED, "TENANT_DENIED")
        assert failure.metadata == {"tenant_id": tenant}


async def test_a_stream_opens_no_other_tenant(stub: Stub) -> None:
    """A stream is told nothing about the entries of another tenant."""
    foreign = key(tenant="globex")
    request = store_pb2.PutRequest(key=foreign, context=context())
    await stub.Put(request, metadata=bearer("both-token"), timeout=TIMEOUT)
    async with Watch(stub, bearer("acme-token")) as watch:
        answer = await watch.answer(watch.subscribe(foreign))
        assert answer.invalidated.is_changed
        await stub.Put(request, metadata=bearer("both-token"), timeout=TIMEOUT)
        await watch.pong(watch.ping())


async def test_a_batch_is_judged_one_by_one(stub: Stub) -> None:
    """A Get of a foreign tenant fails alone in its batch, with its own error."""
    await stub.Put(
        store_pb2.PutRequest(key=key(), context=context()), metadata=bearer("acme-token")
    )
    gets = [store_pb2.GetRequest(key=key(tenant=tenant)) for tenant in ("acme", "globex")]
    request = store_pb2.BatchGetRequest(requests=gets)
    own, foreign = (
        await stub.BatchGet(request, metadata=bearer("acme-token"), timeout=TIMEOUT)
    ).results
    assert own.HasField("response")
    failure = failure_in(foreign.error)
    assert (failure.code, failure.reason) == (StatusCode.PERMISSION_DENIED, "TENANT_DENIED")


async def test_health_is_open(server: Server) -> None:
    """Health checks need no token."""
    async with aio.insecure_channel(server.address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
