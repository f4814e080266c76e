"""The audit: who did what to which key from where, and how it ended; never a value."""

import io
import logging
import re
import secrets
from collections.abc import AsyncIterator, Callable
from operator import itemgetter
from typing import Any

import pytest
from grpc import aio
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc
from relevo.admin.v1.admin_pb2 import (
    ChangesRequest,
    ExplainRequest,
    GetStatusRequest,
    GetUsageRequest,
    ListKeysRequest,
)
from relevo.v1 import store_pb2
from relevo_server import logs
from relevo_server.audit import Event, Record, Trail
from relevo_server.audit.floods import Floods, host_of
from relevo_server.audit.records import FAILURES, Subject
from relevo_server.server import Server
from relevo_server.settings import Settings
from support.clients.access import bearer, principal
from support.clients.admin import AdminStub, admin_of
from support.clients.calls import TIMEOUT, Stub, context, key
from support.clients.watching import Watch
from support.failures import failure_of
from support.logs import events_of, restored_logs
from support.servers.serving import stub_of
from support.telemetry.table import PAGE
from support.waiting import until_async

SECRET = "s3cret-value"  # noqa: S105
OWNER, GUEST, ADMIN = "owner-token", "guest-token", "admin-token"
PRINCIPALS = (
    principal(OWNER, "acme", name="owner"),
    principal(GUEST, "globex", name="guest"),
    principal(ADMIN, "*", admin=True, name="operator"),
)
CHANNELZ: Any = channelz_pb2_grpc.ChannelzStub  # whose types are those of blocking channels
PEER = re.compile(r"ipv4:[\d.]+:\d+")

Records = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def store_url() -> str:
    """Memory: the audit is above the storage."""
    return "memory://"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings of a server that knows an owner, a guest and an operator."""
    return settings.model_copy(update={"principals": PRINCIPALS, "audit": "all"})


@pytest.fixture
async def admin(server: Server) -> AsyncIterator[AdminStub]:
    """The Admin service's stub."""
    async with admin_of(server.address) as stub:
        yield stub


@pytest.fixture
def records(caplog: pytest.LogCaptureFixture) -> Records:
    """The audit records in the log so far, without their times, each checked against the page."""
    caplog.set_level(logging.INFO, "relevo_server")
    events, fields = documented()

    def found() -> list[dict[str, Any]]:
        audited = [each for each in events_of(caplog) if each["event"].startswith("audit.")]
        for each in audited:
            assert each.pop("timestamp")
            assert each["level"] == events[each["event"]]
            assert each.keys() <= {"event", "level", *fields}
            if "peer" in each and "count" not in each:
                assert PEER.fullmatch(each.pop("peer"))
        return audited

    return found


def documented() -> tuple[dict[str, str], list[str]]:
    """The events of the page with their levels, and the fields of records."""
    section = PAGE.read_text("utf-8").split("\n## Audit records\n")[1].split("\n## ")[0]
    events = re.findall(r"^\| `(audit\.\w+)` \| (\w+) \|", section, re.MULTILINE)
    return dict(events), re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)


def test_the_page_has_all_records() -> None:
    """Every event and every field of records is documented, and no other is."""
    events, fields = documented()
    assert events == {str(each): each.level for each in Event}
    full = Record(
        *(Event.WRITE, 1.0, "Put", "owner", "ipv4:127.0.0.1:1", Subject("t", "s", "k"), "OK"),
        *("NO_ENTRY", 7, ("principals",), 3),
    )
    assert list(full.fields) == ["event", "level", "timestamp", *fields]


def as_caller(token: str) -> dict[str, Any]:
    """The arguments of a call with a token."""
    return {"metadata": bearer(token), "timeout": TIMEOUT}


async def put(stub: Stub, id: str = "c1", token: str = OWNER, **rest: Any) -> int:  # noqa: A002
    """Put a marked value, and return its revision."""
    request = store_pb2.PutRequest(key=key(id), context=context(user_id=SECRET), **rest)
    return (await stub.Put(request, **as_caller(token))).revision


def record(event: Event, method: str, **rest: Any) -> dict[str, Any]:
    """A record as the log has it."""
    return {"event": str(event), "level": event.level, "method": method, "status": "OK", **rest}


def of_key(id: str) -> dict[str, str]:  # noqa: A002
    """The fields of a record about a key."""
    return {"tenant": "acme", "scope": "conversation", "key": f"conversation:acme:{id}"}


async def test_writes(stub: Stub, records: Records) -> None:
    """Each Put, Snapshot and Invalidate has a record for each key: its result, its revision."""
    put_revision = await put(stub)
    failed = stub.Put(
        store_pb2.PutRequest(key=key(), context=context(), if_absent=True), **as_caller(OWNER)
    )
    assert (await failure_of(failed)).reason == "ENTRY_EXISTS"
    taken = await stub.Snapshot(store_pb2.SnapshotRequest(key=key()), **as_caller(OWNER))
    keys = store_pb2.ContextKeys(keys=[key("c1"), key("c2")])
    ended = await stub.Invalidate(store_pb2.InvalidateRequest(keys=keys), **as_caller(OWNER))
    selector = store_pb2.TenantSelector(tenant_id="acme", scope="conversation")
    floor = await stub.Invalidate(store_pb2.InvalidateRequest(tenant=selector), **as_caller(OWNER))
    by, scope = {"principal": "owner"}, {"tenant": "acme", "scope": "conversation"}
    assert records() == [
        record(Event.WRITE, "Put", **by, **of_key("c1"), revision=put_revision),
        record(Event.WRITE, "Put", **by, **of_key("c1"), reason="ENTRY_EXISTS", status="ABORTED"),
        record(Event.WRITE, "Snapshot", **by, **of_key("c1"), revision=taken.revision),
        record(Event.WRITE, "Invalidate", **by, **of_key("c1"), revision=ended.revision),
        record(Event.WRITE, "Invalidate", **by, **of_key("c2"), revision=ended.revision),
        record(Event.WRITE, "Invalidate", **by, **scope, revision=floor.revision),
    ]


async def test_reads_are_not_recorded(stub: Stub, records: Records) -> None:
    """Get, BatchGet, Lease, Release and Watch of entitled callers leave no record."""
    await put(stub)
    before = len(records())
    get = store_pb2.GetRequest(key=key())
    await stub.Get(get, **as_caller(OWNER))
    await stub.BatchGet(store_pb2.BatchGetRequest(requests=[get]), **as_caller(OWNER))
    leased = await stub.Lease(store_pb2.LeaseRequest(key=key("c3")), **as_caller(OWNER))
    await stub.Release(
        store_pb2.ReleaseRequest(key=key("c3"), lease_token=leased.lease.token), **as_caller(OWNER)
    )
    assert len(records()) == before == 1


async def test_denials(stub: Stub, admin: AdminStub, server: Server, records: Records) -> None:
    """Every refused call, subscription and part of a batch has a record: who, and about whom."""
    get = store_pb2.GetRequest(key=key())
    refused: list[Any] = [
        stub.Get(get, **as_caller(GUEST)),
        stub.Put(store_pb2.PutRequest(key=key(), context=context()), **as_caller(GUEST)),
        stub.Lease(store_pb2.LeaseRequest(key=key()), **as_caller(GUEST)),
        admin.GetStatus(GetStatusRequest(), **as_caller(GUEST)),
    ]
    for call in refused:
        assert (await failure_of(call)).code.name == "PERMISSION_DENIED"
    await stub.BatchGet(store_pb2.BatchGetRequest(requests=[get]), **as_caller(GUEST))

    async with Watch(stub, bearer(GUEST)) as watch:
        assert (await watch.answer(watch.subscribe(key()))).invalidated.is_changed
    changes: Any = admin.Changes(ChangesRequest(key=key()), metadata=bearer(GUEST))
    assert (await failure_of(changes.read())).code.name == "PERMISSION_DENIED"
    async with aio.insecure_channel(server.address) as channel:
        channelz: Any = CHANNELZ(channel)
        call = channelz.GetServers(channelz_pb2.GetServersRequest(), **as_caller(GUEST))
        assert (await failure_of(call)).code.name == "PERMISSION_DENIED"
    denied = {"principal": "guest", "status": "PERMISSION_DENIED"}
    tenant = {**denied, "reason": "TENANT_DENIED", "tenant": "acme"}
    role = {**denied, "reason": "ROLE_DENIED"}
    of_tenants = ("BatchGet", "Get", "Lease", "Put", "Watch")
    expected = [
        *(record(Event.DENIAL, method, **tenant) for method in of_tenants),
        *(
            record(Event.DENIAL, method, **role)
            for method in ("Changes", "GetServers", "GetStatus")
        ),
    ]
    assert sorted(records(), key=itemgetter("method")) == sorted(expected, key=itemgetter("method"))


async def test_denied_subscriptions(stub: Stub, server: Server, records: Records) -> None:
    """On a stream the first denial of a tenant and a scope has a record; the rest is summed up.

    A client asks again for as long as it needs a key. To unsubscribe is no denial.
    """
    async with Watch(stub, bearer(GUEST)) as watch:
        for scope in ("conversation", "agent_config"):
            for i in range(10):
                await watch.answer(watch.subscribe(key(f"c{i % 2}", scope=scope)))
        watch.unsubscribe(key())
        watch.touch(key())
        await watch.pong(watch.ping())
    denied = {"principal": "guest", "status": "PERMISSION_DENIED", "reason": "TENANT_DENIED"}
    assert records() == [record(Event.DENIAL, "Watch", **denied, tenant="acme")] * 2
    await server._trail.close()  # pyright: ignore[reportPrivateUsage]
    summary = record(Event.DENIAL, "Watch", **denied, peer="ipv4:127.0.0.1", count=19)
    assert records()[2:] == [summary]


async def test_subscriptions_that_are_withdrawn(
    settings: Settings, stub: Stub, server: Server, records: Records
) -> None:
    """A reload that takes a right is recorded for each stream, tenant and scope."""
    less = (principal(OWNER, "globex", name="owner"), *PRINCIPALS[1:])
    async with Watch(stub, bearer(OWNER)) as watch:
        for i in range(5):
            await watch.answer(watch.subscribe(key(f"c{i}")))
        await server.reload(settings.model_copy(update={"principals": less}))
        for _ in range(5):
            assert (await watch.news()).invalidated.is_changed
    denied = {"principal": "owner", "status": "PERMISSION_DENIED", "reason": "TENANT_DENIED"}
    found = [each for each in records() if each["event"] == Event.DENIAL]
    assert found == [record(Event.DENIAL, "Watch", **denied, tenant="acme")]


async def test_administrative_acts(
    stub: Stub, admin: AdminStub, server: Server, records: Records
) -> None:
    """Each call of an operator has a record, with what it is about."""
    await put(stub)
    before = len(records())
    await admin.GetStatus(GetStatusRequest(), **as_caller(ADMIN))
    await admin.Explain(ExplainRequest(key=key()), **as_caller(ADMIN))
    await admin.GetUsage(GetUsageRequest(tenant_id="acme"), **as_caller(ADMIN))
    await admin.ListKeys(
        ListKeysRequest(tenant_id="acme", scope="conversation"), **as_caller(ADMIN)
    )
    changes: Any = admin.Changes(ChangesRequest(key=key()), **as_caller(ADMIN))
    assert [each async for each in changes]
    async with aio.insecure_channel(server.address) as channel:
        channelz: Any = CHANNELZ(channel)
        await channelz.GetServers(channelz_pb2.GetServersRequest(), **as_caller(ADMIN))
    by = {"principal": "operator"}
    assert records()[before:] == [
        record(Event.ADMIN, "GetStatus", **by),
        record(Event.ADMIN, "Explain", **by, **of_key("c1")),
        record(Event.ADMIN, "GetUsage", **by, tenant="acme"),
        record(Event.ADMIN, "ListKeys", **by, tenant="acme", scope="conversation"),
        record(Event.ADMIN, "Changes", **by, **of_key("c1")),
        record(Event.ADMIN, "GetServers", **by),
    ]


async def test_a_flood_is_summarised(
    stub: Stub, server: Server, records: Records, caplog: pytest.LogCaptureFixture
) -> None:
    """Of many failed authentications ten have records; the others are in one summary.

    The end of the server sums up too.
    """
    count = 100
    async with stub_of(server.address) as other:
        calls = [
            (stub, other)[i % 2].Get(
                store_pb2.GetRequest(key=key()), **as_caller(secrets.token_hex(8))
            )
            for i in range(count)
        ]
        for call in calls:
            assert (await failure_of(call)).code.name == "UNAUTHENTICATED"
        refused = {"status": "UNAUTHENTICATED", "reason": "UNAUTHENTICATED"}
        assert records() == [record(Event.AUTHENTICATION, "Get", **refused)] * 10
        await server._trail.close()  # pyright: ignore[reportPrivateUsage]
    summary = record(Event.AUTHENTICATION, "Get", **refused, peer="ipv4:127.0.0.1", count=90)
    assert records()[10:] == [summary]
    assert SECRET not in caplog.text


def failure(principal: str, peer: str, event: Event = Event.DENIAL) -> Record:
    """A failure."""
    return Record(event, 1.0, "Get", principal, peer, Subject("acme"), "X", "Y")


def test_floods_are_bounded() -> None:
    """However many kinds of failures there are, memory is bounded, and each failure counts."""
    floods = Floods(alone=2, kinds=16)
    sent = [failure(f"p{i % 100}", f"ipv4:10.0.0.{i % 7}:{i}") for i in range(5000)]
    alone = [each for each in sent if floods.admits(each)]
    assert len(floods) <= 16 + len(FAILURES)
    assert len(alone) == 2 * 16
    summaries = floods.end(2.0)
    assert len(summaries) <= 16 + 1
    assert len(alone) + sum(each.count for each in summaries) == len(sent)
    assert next(each for each in summaries if not each.method).count > 4000
    assert all(not each.subject.tenant for each in summaries)
    assert len(floods) == 0
    assert floods.admits(sent[0])


def test_hosts_of_peers() -> None:
    """Connections of one host count together, whatever their ports."""
    assert host_of("ipv4:10.0.0.7:51234") == "ipv4:10.0.0.7"
    assert host_of("ipv6:%5B::1%5D:51234") == "ipv6:%5B::1%5D"
    assert host_of("unix:/run/relevo.sock") == "unix:/run/relevo.sock"


async def test_summaries_come_by_themselves(records: Records) -> None:
    """The end of an interval brings the summary, and the next one begins with records."""
    trail = Trail("denials", interval=0.01)
    for _ in range(2):
        before = len(records())
        for _ in range(11):
            trail._add(failure("guest", "ipv4:10.0.0.7:1"))  # pyright: ignore[reportPrivateUsage]
        await until_async(lambda: "count" in records()[-1])
        assert [each.get("count") for each in records()[before:]] == [None] * 10 + [1]


async def test_reloads(records: Records) -> None:
    """A reload is recorded with what it changed, or with why it was refused."""
    trail = Trail("denials")
    trail.reloaded(["principals", "log_level"])
    trail.reloaded([], "principals: two have one token")
    first, second = records()
    assert first == {
        "event": "audit.reload",
        "level": "info",
        "status": "OK",
        "changed": ["principals", "log_level"],
    }
    assert (second["status"], second["reason"]) == (
        "FAILED_PRECONDITION",
        "principals: two have one token",
    )


async def test_records_for_people() -> None:
    """With the log for people, a record is a line of it too."""
    with restored_logs():
        logs.configure("info", "console")
        (handler,) = logging.getLogger("relevo_server").handlers
        printed = io.StringIO()
        stream: Any = handler  # a StreamHandler
        stream.setStream(printed)
        Trail("all").reloaded(["principals"])
    (line,) = printed.getvalue().splitlines()
    assert "audit.reload" in line
    assert "principals" in line


@pytest.mark.parametrize(
    "mode, expected", [("denials", ["audit.denial", "audit.admin"]), ("off", [])]
)
async def test_modes(settings: Settings, records: Records, mode: str, expected: list[str]) -> None:
    """`denials`, the default, leaves writes out, and `off` everything."""
    changed = settings.model_copy(update={"audit": mode})
    async with Server(changed) as server, stub_of(server.address) as stub:
        await put(stub)
        refused = stub.Get(store_pb2.GetRequest(key=key()), **as_caller(GUEST))
        assert (await failure_of(refused)).reason == "TENANT_DENIED"
        async with admin_of(server.address) as admin:
            await admin.GetStatus(GetStatusRequest(), **as_caller(ADMIN))
    assert [each["event"] for each in records()] == expected


async def test_no_value_is_recorded(
    stub: Stub, admin: AdminStub, records: Records, caplog: pytest.LogCaptureFixture
) -> None:
    """No record has a value, a token or an error's text, whatever a call ends with."""
    await put(stub)
    await put(stub, update_mask={"paths": ["user_id"]})
    await admin.Explain(ExplainRequest(key=key()), **as_caller(ADMIN))
    for token in (GUEST, SECRET):
        request = store_pb2.PutRequest(key=key(), context=context(user_id=SECRET))
        await failure_of(stub.Put(request, **as_caller(token)))
    assert len(records()) == 5
    text = " ".join(str(each.msg) for each in caplog.records)
    for secret in (SECRET, OWNER, GUEST, ADMIN):
        assert secret not in text
