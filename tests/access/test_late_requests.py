"""A caller is found once for each call, by its headers, and must still be known for its request."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from relevo.v1.store_pb2 import GetRequest
from relevo_server.access.access import Access
from relevo_server.access.known import Known
from relevo_server.server import Server
from relevo_server.settings import Settings
from support.clients.access import bearer, principal
from support.clients.calls import TIMEOUT, key
from support.clients.http2 import Http2, framed
from support.clients.tokens import TokenIssuer
from support.failures import failure_of
from support.servers.serving import stub_of
from support.waiting import until_async

GET = "/relevo.v1.ContextStore/Get"
REQUEST = framed(GetRequest(key=key()).SerializeToString())
NOT_FOUND, UNAUTHENTICATED = "5", "16"


@pytest.fixture
def store_url() -> str:
    """Memory, as callers are the same for every backend."""
    return "memory://"


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often headers were looked at, and tokens were looked up."""
    counts = Counter[str]()
    is_stranger, owner = Access.is_stranger, Known.owner

    def counted_headers(self: Access, metadata: Any) -> bool:
        counts["headers"] += 1
        return is_stranger(self, metadata)

    def counted_owner(self: Known, token: str) -> Any:
        counts["tokens"] += 1
        return owner(self, token)

    monkeypatch.setattr(Access, "is_stranger", counted_headers)
    monkeypatch.setattr(Known, "owner", counted_owner)
    return counts


@pytest.fixture
def known(settings: Settings, issuer: TokenIssuer) -> Settings:
    """Settings with a principal and an issuer."""
    update = {"principals": (principal("t", "acme"),), "issuers": (issuer.settings(),)}
    return settings.model_copy(update=update)


@pytest.fixture
async def server(known: Settings) -> AsyncIterator[Server]:
    """A server that knows them."""
    async with Server(known) as server:
        yield server


async def test_a_token_is_looked_up_once(
    server: Server, seen: Counter[str], issuer: TokenIssuer
) -> None:
    """Each call looks up its own token, once, however many there are at the same time."""
    jwt = issuer.token(relevo_tenants=["globex"])
    shown = [("t", "acme", "NO_ENTRY"), (jwt, "globex", "NO_ENTRY"), (jwt, "acme", "TENANT_DENIED")]
    async with stub_of(server.address) as stub:
        calls = [
            stub.Get(GetRequest(key=key(tenant=tenant)), metadata=bearer(token), timeout=TIMEOUT)
            for token, tenant, _ in shown * 5
        ]
        failures = [(await failure_of(call)).reason for call in calls]
    assert failures == [reason for *_, reason in shown] * 5
    assert seen == {"headers": 15, "tokens": 15}


async def outcome(server: Server, seen: Counter[str], token: str, meanwhile: Any) -> str:
    """The status of a Get whose request comes after `meanwhile`."""
    with Http2(int(server.address.rpartition(":")[2])) as client:
        stream = await asyncio.to_thread(client.call, GET, token=token)
        await until_async(lambda: seen["headers"], what="the headers")
        await meanwhile()
        await asyncio.to_thread(client.push, stream, REQUEST)
        await asyncio.to_thread(client.read_until_ended, stream)
        return client.ended[stream]


async def test_a_late_request(
    server: Server, known: Settings, seen: Counter[str], issuer: TokenIssuer
) -> None:
    """If the caller is removed, or its token withdrawn, between headers and request, it is unknown.

    Otherwise the request is answered as any other.
    """

    async def nothing() -> None:
        pass

    async def removed() -> None:
        other = (principal("other", "acme"),)
        await server.reload(known.model_copy(update={"principals": other}))

    async def withdrawn() -> None:
        issuer.rotate("second", is_published=False)
        issuer.publish("second")
        untyped: Any = server
        (keys,) = untyped._access._known.keysets
        await keys.refresh()

    for token, meanwhile, status in (
        ("t", nothing, NOT_FOUND),
        ("t", removed, UNAUTHENTICATED),
        (issuer.token(), nothing, NOT_FOUND),
        (issuer.token(), withdrawn, UNAUTHENTICATED),
    ):
        seen.clear()
        assert await outcome(server, seen, token, meanwhile) == status


async def test_a_token_that_expires_meanwhile(
    settings: Settings, seen: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the token expires between headers and request, the call is UNAUTHENTICATED."""
    expires = datetime.now(UTC) + timedelta(hours=1)
    known = (principal("t", "acme", expires=expires),)

    async def later() -> None:
        now = time.time() + 7200
        monkeypatch.setattr(time, "time", lambda: now)

    async with Server(settings.model_copy(update={"principals": known})) as server:
        assert await outcome(server, seen, "t", later) == UNAUTHENTICATED
