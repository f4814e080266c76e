"""Changes: the log of a tenant or a key, with who wrote and what."""

import time
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from relevo.admin.v1.admin_pb2 import Change, ChangeKind, ChangesRequest, ChangesResponse
from relevo.v1.store_pb2 import ContextKeys, InvalidateRequest, PutRequest, TenantSelector
from relevo_server.keys import partition_of
from relevo_server.server import Server
from relevo_server.settings import Settings
from support.clients.access import bearer, principal
from support.clients.admin import AdminStub, admin_of, changes_of
from support.clients.calls import (
    TIMEOUT,
    Stub,
    context,
    invalidate,
    invalidate_tenant,
    key,
    masked,
    put,
)
from support.failures import failure_of
from support.redis.client import RedisClient
from support.servers.serving import stub_of

ACME = TenantSelector(tenant_id="acme")
PUT, END, END_ALL = (
    ChangeKind.CHANGE_KIND_PUT,
    ChangeKind.CHANGE_KIND_INVALIDATE,
    ChangeKind.CHANGE_KIND_INVALIDATE_TENANT,
)


def revisions(changes: list[Change]) -> list[int]:
    """The revisions of changes."""
    return [each.revision for each in changes]


async def all_of(admin: AdminStub, request: ChangesRequest) -> list[ChangesResponse]:
    """All messages of a stream that ends."""
    call: Any = admin.Changes(request, timeout=TIMEOUT)
    return [response async for response in call]


async def test_every_kind_of_change(admin: AdminStub, stub: Stub) -> None:
    """Each change has its kind, its target, its revision, its time, and what it wrote."""
    begun = time.time()
    whole = (await put(stub, key(), context(llm_config={"model": "m"}))).revision
    mask = masked("user_id", "llm_config.`top-p`", "llm_config.a.b")
    part = (await put(stub, key(), context(user_id="u"), update_mask=mask)).revision
    ended = (await invalidate(stub, key(), key("c2"))).revision
    scope = (await invalidate_tenant(stub, "acme", "agent_config")).revision
    tenant = (await invalidate_tenant(stub, "acme")).revision
    found = await changes_of(admin, ACME)
    assert [(each.kind, list(each.fields)) for each in found] == [
        (PUT, ["*"]),
        (PUT, ["user_id", "llm_config.`top-p`", "llm_config.a.b"]),
        (END, []),
        (END, []),
        (END_ALL, []),
        (END_ALL, []),
    ]
    assert [each.key for each in found[:4]] == [key(), key(), key(), key("c2")]
    assert [each.tenant for each in found[4:]] == [
        TenantSelector(tenant_id="acme", scope="agent_config"),
        ACME,
    ]
    assert revisions(found)[:2] == [whole, part]
    assert revisions(found)[3:] == [ended, scope, tenant]
    assert all(begun - 5 < each.time.ToMilliseconds() / 1000 < time.time() + 5 for each in found)
    assert {each.principal for each in found} == {""}


async def test_who_wrote(settings: Settings) -> None:
    """A change has the name of the principal that wrote, whatever it wrote."""
    names = {"t1": "owner", "t2": "é 日本"}
    writers = [principal(token, "*", name=name) for token, name in names.items()]
    known = {"principals": [*writers, principal("ops", "acme", admin=True)]}
    async with (
        Server(settings.model_copy(update=known)) as server,
        stub_of(server.address) as stub,
        admin_of(server.address) as admin,
    ):
        for token in names:
            await write_everything(stub, {"metadata": bearer(token), "timeout": TIMEOUT})
        found = await changes_with(admin, bearer("ops"))
    assert [each.principal for each in found] == [name for name in names.values() for _ in range(4)]


async def changes_with(admin: AdminStub, metadata: Any) -> list[Change]:
    """The changes of acme, for a caller with a token."""
    call: Any = admin.Changes(ChangesRequest(tenant=ACME), metadata=metadata, timeout=TIMEOUT)
    return [response.change async for response in call]


async def write_everything(stub: Stub, rest: dict[str, Any]) -> None:
    """One write of each kind."""
    await stub.Put(PutRequest(key=key(), context=context()), **rest)
    mask = FieldMask(paths=["user_id"])
    await stub.Put(PutRequest(key=key(), context=context(), update_mask=mask), **rest)
    await stub.Invalidate(InvalidateRequest(keys=ContextKeys(keys=[key()])), **rest)
    await stub.Invalidate(InvalidateRequest(tenant=ACME), **rest)


async def test_a_scope_and_a_key(admin: AdminStub, stub: Stub) -> None:
    """A scope and a key have their own changes, and the ends of all that they belong to."""
    own = [(await put(stub, key())).revision]
    sibling = (await put(stub, key("c2"))).revision
    await put(stub, key(scope="agent_config"))
    await put(stub, key(tenant="globex"))
    await invalidate_tenant(stub, "acme", "agent_config")
    await invalidate_tenant(stub, "globex")
    own.append((await invalidate_tenant(stub, "acme", "conversation")).revision)
    own.append((await invalidate_tenant(stub, "acme")).revision)
    assert revisions(await changes_of(admin, key())) == own
    scope = TenantSelector(tenant_id="acme", scope="conversation")
    assert revisions(await changes_of(admin, scope)) == [own[0], sibling, *own[1:]]
    assert len(await changes_of(admin, ACME)) == 6


async def test_a_part_of_the_log(admin: AdminStub, stub: Stub) -> None:
    """`after_revision` and `limit` select the last changes, the oldest first."""
    versions = [(await put(stub, key(f"c{i % 3}"))).revision for i in range(9)]
    assert revisions(await changes_of(admin, ACME)) == versions
    assert revisions(await changes_of(admin, ACME, after_revision=versions[4])) == versions[5:]
    assert revisions(await changes_of(admin, ACME, limit=2)) == versions[-2:]
    assert revisions(await changes_of(admin, key("c0"), limit=2)) == versions[3::3]
    assert revisions(await changes_of(admin, ACME, limit=9)) == versions
    assert await changes_of(admin, ACME, after_revision=versions[-1]) == []
    assert await changes_of(admin, TenantSelector(tenant_id="globex")) == []


async def test_a_long_log(admin: AdminStub, stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log of several pages is told as a whole, in order."""
    monkeypatch.setattr("relevo_server.service.admin.changes._READ_TOGETHER", 4)
    versions = [(await put(stub, key(f"c{i % 2}"))).revision for i in range(13)]
    assert revisions(await changes_of(admin, ACME)) == versions
    assert revisions(await changes_of(admin, key("c1"))) == versions[1::2]


async def test_a_trimmed_log(settings: Settings) -> None:
    """If earlier changes may have been dropped, the first message says so, or one that is alone."""
    short = settings.model_copy(update={"log_length": 100, "partitions": 1})
    async with (
        Server(short) as server,
        stub_of(server.address) as stub,
        admin_of(server.address) as admin,
    ):
        versions = [(await put(stub, key(f"c{i % 3}"))).revision for i in range(400)]
        responses = await all_of(admin, ChangesRequest(tenant=ACME))
        assert [each.gap for each in responses] == [True] + [False] * (len(responses) - 1)
        assert 100 <= len(responses) < 400
        assert [each.change.revision for each in responses] == versions[-len(responses) :]
        # Nothing is missing after a revision that the log has, nor in the last few changes.
        recent = await changes_of(admin, ACME, after_revision=versions[-50])
        assert revisions(recent) == versions[-49:]
        assert revisions(await changes_of(admin, ACME, limit=10)) == versions[-10:]
        other = ChangesRequest(tenant=TenantSelector(tenant_id="globex"))
        assert await all_of(admin, other) == [ChangesResponse(gap=True)]


async def test_long_masks(admin: AdminStub, stub: Stub) -> None:
    """Of a long mask the first paths are recorded, up to 1,024 bytes, and `*` for the rest."""
    await put(stub, key())
    paths = [f"llm_config.key_{i:04}" for i in range(500)]
    await put(stub, key(), update_mask=masked(*paths))
    await put(stub, key(), update_mask=masked("llm_config." + "x" * 5000))
    _, many, long = await changes_of(admin, ACME)
    assert many.fields[-1] == "*"
    assert list(many.fields[:-1]) == paths[: len(many.fields) - 1]
    assert 900 < sum(map(len, many.fields)) <= 1025
    assert long.fields == ["*"]


@pytest.mark.parametrize("store_url", ["redis"], indirect=True)
async def test_the_log_has_no_values(
    admin: AdminStub, stub: Stub, settings: Settings, store_url: str
) -> None:
    """What is recorded are names: no value is in a log."""
    secret = context(user_id="s3cret-1", llm_config={"model": "s3cret-2"})
    await put(stub, key(), secret)
    await put(stub, key(), secret, update_mask=masked("user_id", "llm_config.model"))
    assert len(await changes_of(admin, ACME)) == 2
    number = partition_of("acme", settings.partitions)
    with RedisClient(store_url) as redis:
        log = redis("XRANGE", f"{{{settings.store_prefix}:{number}}}:log", "-", "+")
    assert len(log) == 2
    assert "s3cret" not in str(log)


@pytest.mark.parametrize("store_url", ["redis"], indirect=True)
async def test_events_of_other_versions(
    admin: AdminStub, stub: Stub, settings: Settings, store_url: str
) -> None:
    """Events of an older server lack who and what; those of a newer one may have more."""
    await put(stub, key())
    log = f"{{{settings.store_prefix}:{partition_of('acme', settings.partitions)}}}:log"
    with RedisClient(store_url) as redis:
        redis("XADD", log, "*", "op", "put", "key", "conversation:acme:old")
        redis("XADD", log, "*", "op", "floor", "tenant", "acme", "scope", "")
        redis(
            *("XADD", log, "*", "op", "put", "key", "conversation:acme:new"),
            *("by", "p", "fields", '["user_id"]', "why", "because"),
        )
        for fields in ("[", '{"a": 1}', "user_id", '["user_id", 7]'):
            named = ("op", "put", "key", "conversation:acme:odd", "fields", fields)
            redis("XADD", log, "*", *named)
        redis("XADD", log, "*", "anything", "else")
    _, old, floor, new, *odd = await changes_of(admin, ACME)
    assert (old.key.id, old.principal, list(old.fields)) == ("old", "", [])
    assert (floor.kind, floor.principal) == (END_ALL, "")
    assert (new.key.id, new.principal, list(new.fields)) == ("new", "p", ["user_id"])
    assert [each.fields for each in odd] == [[], [], [], ["user_id"]]


@pytest.mark.parametrize(
    "request_, fields",
    [
        (ChangesRequest(), ["target"]),
        (ChangesRequest(key=key("")), ["key.id"]),
        (ChangesRequest(tenant=TenantSelector(scope="\n")), ["tenant.tenant_id", "tenant.scope"]),
        (ChangesRequest(tenant=ACME, after_revision=-1), ["after_revision"]),
        (ChangesRequest(tenant=ACME, limit=-1), ["limit"]),
        (ChangesRequest(tenant=ACME, limit=10_001), ["limit"]),
    ],
)
async def test_malformed(admin: AdminStub, request_: ChangesRequest, fields: list[str]) -> None:
    """Each broken rule is named by its field."""
    call: Any = admin.Changes(request_, timeout=TIMEOUT)
    failure = await failure_of(call.read())
    assert (failure.reason, failure.fields) == ("INVALID_FIELD", fields)
