"""Streams last as long as the right of their caller, and survive a reload that leaves it."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from grpc import StatusCode
from relevo.admin.v1.admin_pb2 import ChangesRequest
from relevo.v1.store_pb2 import GetRequest, PutRequest, TenantSelector
from relevo_server.access import keysets
from relevo_server.identities import Principal
from relevo_server.server import Server
from relevo_server.settings import Settings
from support.clients.access import bearer, principal
from support.clients.admin import admin_of
from support.clients.calls import TIMEOUT, Stub, context, key
from support.clients.tokens import TokenIssuer
from support.clients.watching import Watch
from support.failures import Failure, failure_of
from support.servers.serving import stub_of

PRINCIPALS = (
    principal("agent", "acme", roles=("read", "admin")),
    principal("writer", "acme"),
    principal("other", "globex"),
)


@pytest.fixture
def store_url() -> str:
    """Memory, as streams are the same for every backend."""
    return "memory://"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings with principals, and streams that are looked after often."""
    return settings.model_copy(update={"principals": PRINCIPALS, "health_interval": 0.05})


@pytest.fixture
async def stub(server: Server) -> AsyncIterator[Stub]:
    """The stub of the server."""
    async with stub_of(server.address) as stub:
        yield stub


async def end_of(watch: Watch) -> Failure:
    """The failure of a stream, which ends without another message than progress."""

    async def read() -> None:
        while True:
            await watch.news()

    async with asyncio.timeout(10):
        return await failure_of(read())


async def put(stub: Stub, token: str) -> int:
    """Put an entry. Returns its version."""
    request = PutRequest(key=key(), context=context())
    return (await stub.Put(request, metadata=bearer(token), timeout=TIMEOUT)).entry.version


async def test_a_right_that_holds(server: Server, settings: Settings, stub: Stub) -> None:
    """A stream goes on over a reload that leaves its right, also if its principal's others go."""
    async with Watch(stub, bearer("agent")) as watch:
        await watch.answer(watch.subscribe(key()))
        less = (principal("agent", "acme", roles=("read:conversation",)), *PRINCIPALS[1:])
        await server.reload(settings.model_copy(update={"principals": less}))
        version = await put(stub, "writer")
        assert (await watch.news()).entry.version == version
        # What comes later is judged by the new rights.
        answer = await watch.answer(watch.subscribe(key(scope="agent_config")))
        assert answer.invalidated.is_changed


@pytest.mark.parametrize(
    "principals",
    [PRINCIPALS[1:], (principal("new", "acme", name="agent"), *PRINCIPALS[1:])],
    ids=["principal", "token"],
)
async def test_a_caller_that_is_gone(
    server: Server, settings: Settings, stub: Stub, principals: Any
) -> None:
    """A reload ends the streams of callers that are no longer known, and no others."""
    async with Watch(stub, bearer("agent")) as watch, Watch(stub, bearer("writer")) as beside:
        await watch.answer(watch.subscribe(key()))
        await beside.answer(beside.subscribe(key()))
        await server.reload(settings.model_copy(update={"principals": principals}))
        failure = await end_of(watch)
        assert (failure.code, failure.reason) == (StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")
        version = await put(stub, "writer")
        assert (await beside.news()).entry.version == version


@pytest.mark.parametrize(
    "less",
    [
        principal("agent", "globex"),
        principal("agent", "acme", roles=("write",)),
        principal("agent", "acme", roles=("read:agent_config",)),
    ],
    ids=["tenant", "role", "scope"],
)
async def test_a_right_that_is_gone(
    server: Server, settings: Settings, stub: Stub, less: Principal
) -> None:
    """A reload that takes a right ends the subscriptions that need it, and no stream."""
    async with Watch(stub, bearer("agent")) as watch, Watch(stub, bearer("writer")) as beside:
        await watch.answer(watch.subscribe(key()))
        await beside.answer(beside.subscribe(key()))
        await server.reload(settings.model_copy(update={"principals": (less, *PRINCIPALS[1:])}))
        assert (await watch.news()).invalidated.is_changed
        version = await put(stub, "writer")
        assert (await beside.news()).entry.version == version
        await watch.pong(watch.ping())


async def test_calls_after_a_reload(server: Server, settings: Settings, stub: Stub) -> None:
    """From a reload on, calls are judged by the new settings."""
    new = (principal("next", "acme", name="agent"),)
    await server.reload(settings.model_copy(update={"principals": new}))
    for token, reason in (("agent", "UNAUTHENTICATED"), ("next", "NO_ENTRY")):
        call = stub.Get(GetRequest(key=key()), metadata=bearer(token), timeout=TIMEOUT)
        assert (await failure_of(call)).reason == reason


async def test_changes_that_are_followed(server: Server, settings: Settings) -> None:
    """A stream of changes ends, too, if the reload takes the role that it needs."""
    request = ChangesRequest(tenant=TenantSelector(tenant_id="acme"), follow=True)
    async with admin_of(server.address) as admin, stub_of(server.address) as stub:
        await put(stub, "writer")
        stream: Any = admin.Changes(request, metadata=bearer("agent"), timeout=TIMEOUT)
        await stream.read()
        less = (principal("agent", "acme", roles=("read", "admin:tool")), *PRINCIPALS[1:])
        await server.reload(settings.model_copy(update={"principals": less}))
        failure = await failure_of(stream.read())
    assert (failure.reason, failure.metadata) == ("ROLE_DENIED", {"role": "admin"})


async def test_a_reload_that_takes_everything(
    server: Server, settings: Settings, stub: Stub
) -> None:
    """A reload to no principals is refused: an emptied file would open the server to everyone."""
    with pytest.raises(ValueError, match="principals"):
        await server.reload(settings.model_copy(update={"principals": ()}))
    assert (await failure_of(stub.Get(GetRequest(key=key())))).reason == "UNAUTHENTICATED"


async def test_what_needs_a_restart(server: Server, settings: Settings) -> None:
    """A reload names the settings that it does not take over."""
    changed = {"grace": 1.0, "watch_max_keys": 5, "principals": PRINCIPALS[:2]}
    assert await server.reload(settings.model_copy(update=changed)) == ["watch_max_keys", "grace"]
    assert await server.reload(settings) == []


async def test_a_token_that_expires(settings: Settings) -> None:
    """A stream ends when its token expires, and the error says so."""
    soon = datetime.now(UTC) + timedelta(seconds=0.5)
    known = (principal("agent", "acme", expires=soon),)
    async with Server(settings.model_copy(update={"principals": known})) as server:  # noqa: SIM117
        async with stub_of(server.address) as stub, Watch(stub, bearer("agent")) as watch:
            await watch.answer(watch.subscribe(key()))
            failure = await end_of(watch)
    assert time.time() >= soon.timestamp()
    assert failure.reason == "UNAUTHENTICATED"
    assert "has expired" in failure.message


async def test_a_jwt_whose_key_is_withdrawn(
    settings: Settings, issuer: TokenIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a key is withdrawn, the streams of its tokens end; those of other keys go on."""
    monkeypatch.setattr(keysets, "COOLDOWN", 0.0)
    issuer.rotate("second")
    known = {"issuers": (issuer.settings(jwks_refresh=0.05),)}
    old, new = bearer(issuer.token(kid="first")), bearer(issuer.token(kid="second"))
    async with Server(settings.model_copy(update=known)) as server:  # noqa: SIM117
        async with (
            stub_of(server.address) as stub,
            Watch(stub, old) as watch,
            Watch(stub, new) as beside,
        ):
            for each in (watch, beside):
                await each.answer(each.subscribe(key()))
            issuer.publish("second")
            assert (await end_of(watch)).reason == "UNAUTHENTICATED"
            version = await put(stub, "writer")
            assert (await beside.news()).entry.version == version
