"""The rights of docs/operations.md: a user with exactly these can do all, and needs each."""

import logging
import re
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest
from grpc import aio
from pydantic import SecretStr
from relevo.admin.v1.admin_pb2 import GetStatusRequest, GetUsageRequest, ListPartitionsRequest
from relevo.v1 import store_pb2
from relevo.v1.context_pb2 import ContextKey
from relevo.v1.store_pb2 import SnapshotRequest, TenantSelector
from relevo_server.errors import StoreError
from relevo_server.keys import partition_of
from relevo_server.quotas import Quotas
from relevo_server.server import Server, storage_of
from relevo_server.settings import Settings
from relevo_server.storage import Storage
from support.clients.admin import AdminStub, admin_of, all_keys, changes_of
from support.clients.calls import (
    TIMEOUT,
    Stub,
    batch_get,
    context,
    get,
    invalidate,
    invalidate_tenant,
    key,
    put,
    seconds,
)
from support.clients.watching import Watch
from support.failures import failure_of
from support.logs import events_of
from support.redis.client import RedisClient
from support.redis.process import RedisProcess
from support.redis.users import LINE, RIGHTS, User
from support.servers.serving import health_of, stub_of
from support.waiting import until_async

_TABLE = RIGHTS.replace("\\|", "|")  # a bar within a cell
ROWS = dict(re.findall(r"^\| `([a-z|]+)` \| (.+) \| (?:NOT_)?SERVING \|$", _TABLE, re.MULTILINE))
NEEDED = set(re.findall(r"^\| `([a-z|]+)` \| .+ \| NOT_SERVING \|$", _TABLE, re.MULTILINE))
GIVEN = set(re.findall(r" \+(\S+)", LINE))
SOON = {"health_interval": 0.02, "grace": 0.2}
FAILURES = (aio.AioRpcError, StoreError, AssertionError)
"""What an exercise fails with."""


@dataclass
class Scene:
    """A server whose Redis user has the rights of the page, and those who use it."""

    stub: Stub
    admin: AdminStub
    storage: Storage
    client: RedisClient
    """A client of Redis with all rights."""
    settings: Settings
    tenant: str = ""

    def key(self, id: str = "c1") -> ContextKey:  # noqa: A002 - the field's name
        """A key of this exercise's own tenant."""
        return key(id, tenant=self.tenant)

    @property
    def tag(self) -> str:
        """How the names of the tenant's partition begin."""
        number = partition_of(self.tenant, self.settings.partitions)
        return f"{{{self.settings.store_prefix}:{number}}}"


Exercise = Callable[[Scene], AsyncGenerator[None, None]]
"""Prepares something, and does it after the yield: by then a right may be gone."""


async def get_all(scene: Scene) -> AsyncGenerator[None, None]:
    """Get: what is new, what is unchanged since, and what has changed since."""
    await put(scene.stub, scene.key(), context(user_id="a"))
    await put(scene.stub, scene.key("c2"), context(user_id="a"))
    for each in ("c1", "c2"):
        await get(scene.stub, scene.key(each))
    await put(scene.stub, scene.key("c2"), context(user_id="b"))
    yield
    found = [(await get(scene.stub, scene.key(each))).entry.context for each in ("c1", "c2")]
    assert [each.user_id for each in found] == ["a", "b"]


async def get_batch(scene: Scene) -> AsyncGenerator[None, None]:
    """BatchGet of what a server has read before."""
    await put(scene.stub, scene.key())
    await get(scene.stub, scene.key())
    yield
    assert all(each.HasField("response") for each in await batch_get(scene.stub, scene.key()))


async def put_new(scene: Scene) -> AsyncGenerator[None, None]:
    """Put: the first one of a partition, a repeated one, and one with a mask."""
    scene.client("SCRIPT", "FLUSH")
    yield
    await put(scene.stub, scene.key(), request_id="r")
    await put(scene.stub, scene.key(), request_id="r")
    await put(scene.stub, scene.key(), context(user_id="a"), update_mask={"paths": ["user_id"]})


async def invalidate_all(scene: Scene) -> AsyncGenerator[None, None]:
    """Invalidate: a key, and a tenant."""
    await put(scene.stub, scene.key())
    yield
    assert (await invalidate(scene.stub, scene.key(), request_id="i")).invalidated_count == 1
    await invalidate_tenant(scene.stub, scene.tenant)


async def lease(scene: Scene) -> AsyncGenerator[None, None]:
    """Lease: granted, and the entry under the key of another."""
    await put(scene.stub, scene.key("there"))
    yield
    for each in ("missing", "there"):
        await scene.stub.Lease(store_pb2.LeaseRequest(key=scene.key(each)), timeout=TIMEOUT)


async def release(scene: Scene) -> AsyncGenerator[None, None]:
    """Release."""
    asked = store_pb2.LeaseRequest(key=scene.key())
    token = (await scene.stub.Lease(asked, timeout=TIMEOUT)).lease.token
    yield
    request = store_pb2.ReleaseRequest(key=scene.key(), lease_token=token)
    await scene.stub.Release(request, timeout=TIMEOUT)


async def touch(scene: Scene) -> AsyncGenerator[None, None]:
    """Touch: the time to live begins anew. One that fails ends no stream."""
    await put(scene.stub, scene.key(), ttl=seconds(100))
    name = f"{scene.tag}:entry:{scene.key().scope}:{scene.tenant}:{scene.key().id}"
    assert scene.client("PEXPIRE", name, 50_000)
    yield
    async with Watch(scene.stub) as watch:
        await watch.answer(watch.subscribe(scene.key()))
        watch.touch(scene.key())
        answer = await watch.answer(watch.subscribe(scene.key()))
        assert answer.entry.ttl.seconds > 60, "the time to live has not begun anew"


async def watch(scene: Scene) -> AsyncGenerator[None, None]:
    """Watch: a log that is followed from what was read of it."""
    version = (await put(scene.stub, scene.key())).revision
    yield
    partition = scene.storage.partition_of(scene.tenant)
    assert (await scene.storage.tail(partition, version, 1)).gap is None


async def take_snapshot(scene: Scene) -> AsyncGenerator[None, None]:
    """Snapshot, of an entry whose snapshot exists, too."""
    await put(scene.stub, scene.key())
    yield
    for _ in range(2):
        request = SnapshotRequest(key=scene.key())
        assert (await scene.stub.Snapshot(request, timeout=TIMEOUT)).entry.version


async def wait(scene: Scene) -> AsyncGenerator[None, None]:
    """The wait for the next event of a log."""
    partition = scene.storage.partition_of(scene.tenant)
    yield
    tail = await scene.storage.tail(partition, None, 1)
    await scene.storage.wait(partition, tail.revision, 0.001)


async def changes(scene: Scene) -> AsyncGenerator[None, None]:
    """Changes."""
    await put(scene.stub, scene.key())
    yield
    assert await changes_of(scene.admin, TenantSelector(tenant_id=scene.tenant))


async def partitions(scene: Scene) -> AsyncGenerator[None, None]:
    """ListPartitions."""
    await put(scene.stub, scene.key())
    yield
    found = await scene.admin.ListPartitions(ListPartitionsRequest(), timeout=TIMEOUT)
    assert any(each.log_length for each in found.partitions)


async def list_keys(scene: Scene) -> AsyncGenerator[None, None]:
    """ListKeys."""
    await put(scene.stub, scene.key())
    yield
    assert await all_keys(scene.admin, scene.tenant)


async def usage(scene: Scene) -> AsyncGenerator[None, None]:
    """GetUsage."""
    await put(scene.stub, scene.key())
    yield
    request = GetUsageRequest(tenant_id=scene.tenant)
    assert (await scene.admin.GetUsage(request, timeout=TIMEOUT)).scopes


async def status(scene: Scene) -> AsyncGenerator[None, None]:
    """GetStatus, with all that it tells of Redis."""
    yield
    found = (await scene.admin.GetStatus(GetStatusRequest(), timeout=TIMEOUT)).store
    assert found.version
    assert found.used_bytes
    assert found.eviction_policy
    assert found.HasField("clock_offset")


async def recount(scene: Scene) -> AsyncGenerator[None, None]:
    """The recount of what a tenant has in the store."""
    await put(scene.stub, scene.key())
    yield
    limits = Quotas().of_tenant(scene.tenant, 1)._replace(entries=9)
    await scene.storage.inspection.recount(lambda _: limits, 0.001)
    assert (await scene.storage.inspection.held(scene.tenant)).entries == 1


async def repair(scene: Scene) -> AsyncGenerator[None, None]:
    """The removal of a foreign entry whose id no revision can hold, by the next write."""
    await put(scene.stub, scene.key())
    scene.client("XADD", f"{scene.tag}:log", "9000000000000-1", "foreign", "entry")
    yield
    await put(scene.stub, scene.key(), request_id=secrets.token_hex(4))


EXERCISES: dict[str, Exercise] = {
    "Get": get_all,
    "BatchGet": get_batch,
    "Put": put_new,
    "Invalidate": invalidate_all,
    "Lease": lease,
    "Release": release,
    "Snapshot": take_snapshot,
    "Touch": touch,
    "Watch": watch,
    "Wait": wait,
    "Changes": changes,
    "ListPartitions": partitions,
    "ListKeys": list_keys,
    "GetUsage": usage,
    "GetStatus": status,
    "Recount": recount,
    "Repair": repair,
}


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    """A Redis of the module's own: what others do would change its scripts and its counts."""
    with RedisProcess() as process:
        yield process.url


@pytest.fixture
def store_url(redis_url: str) -> str:
    """Redis: only it has users."""
    return redis_url


@pytest.fixture
def user(settings: Settings, redis: RedisClient) -> Iterator[User]:
    """The user of the page."""
    with User([redis], settings.store_prefix) as user:
        yield user


@pytest.fixture
def limited(settings: Settings, user: User, redis_url: str) -> Settings:
    """Settings of a server that is this user."""
    return settings.model_copy(update={"store": SecretStr(user.url(redis_url)), **SOON})


@pytest.fixture
async def server(limited: Settings) -> AsyncIterator[Server]:
    """That server."""
    async with Server(limited) as running:
        yield running


@pytest.fixture
async def stub(server: Server) -> AsyncIterator[Stub]:
    """The stub of that server."""
    async with stub_of(server.address) as stub:
        yield stub


@pytest.fixture
async def scene(
    stub: Stub, server: Server, limited: Settings, redis: RedisClient
) -> AsyncIterator[Scene]:
    """The scene of that server."""
    storage = storage_of(limited)
    async with admin_of(server.address) as admin:
        yield Scene(stub, admin, storage, redis, limited)
    await storage.close()


async def is_done(scene: Scene, name: str, between: Callable[[], object] = tuple) -> bool:
    """Whether an exercise can be done. `between` is called after its preparations."""
    exercise = EXERCISES[name](replace(scene, tenant=f"{name}-{secrets.token_hex(4)}"))
    await anext(exercise)
    between()
    try:
        await anext(exercise, None)
    except FAILURES:
        return False
    return True


async def until_health(server: Server, status: str) -> None:
    """Wait until health has this status."""

    async def has_it() -> bool:
        return await health_of(server.address) == status

    await until_async(has_it)


def told(events: Sequence[Any]) -> list[Any]:
    """What the log says of rights: the event and the commands."""
    names = ("store.forbidden", "store.limited")
    return [(each["event"], each["commands"]) for each in events if each["event"] in names]


def test_the_table_has_the_commands_of_the_line() -> None:
    """Each command of the line has a row, and no other has; each row names what can be tried."""
    assert len(GIVEN) > 15
    assert set(ROWS) == GIVEN
    for command, cell in ROWS.items():
        assert set(re.findall(r"`(\w+)`", cell)) & EXERCISES.keys(), command


async def test_the_rights_suffice(
    scene: Scene, server: Server, limited: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """With the rights of the page every call works, and the log says nothing of rights."""
    for name in EXERCISES:
        assert await is_done(scene, name), name
    assert await health_of(server.address) == "SERVING"
    measured = await scene.storage.inspection.usage()
    assert None not in (measured.log_length, measured.size)
    caplog.set_level(logging.INFO, "relevo_server")
    async with Server(limited):
        pass
    assert [each["event"] for each in events_of(caplog)] == ["server.started", "server.stopped"]


@pytest.mark.parametrize("command", sorted(GIVEN))
async def test_each_right_is_needed(command: str, scene: Scene, server: Server, user: User) -> None:
    """Without one command, what its row names fails, and health is as the row says.

    With the command, all of it works again.
    """
    names = [name for name in re.findall(r"`(\w+)`", ROWS[command]) if name in EXERCISES]
    for name in names:
        user.give()
        await until_health(server, "SERVING")
        assert not await is_done(scene, name, lambda: user.take(command)), name
    await server._health._check()  # pyright: ignore[reportPrivateUsage]
    status = "NOT_SERVING" if command in NEEDED else "SERVING"
    assert await health_of(server.address) == status
    user.give()
    for name in names:
        await until_async(partial(is_done, scene, name), what=name)
    await until_health(server, "SERVING")


async def test_the_log_names_the_command_once(
    server: Server, user: User, caplog: pytest.LogCaptureFixture
) -> None:
    """Each set of refused commands is logged once, however often health finds it."""
    caplog.set_level(logging.INFO, "relevo_server")
    await until_health(server, "SERVING")
    user.take("xadd")
    await until_async(lambda: told(events_of(caplog)))
    for _ in range(3):
        await server._health._check()  # pyright: ignore[reportPrivateUsage]
    user.take("pttl")
    await until_async(lambda: len(told(events_of(caplog))) == 2)
    user.give()
    await until_async(lambda: events_of(caplog)[-1]["event"] == "store.found")
    first, second = told(events_of(caplog))
    assert first == ("store.forbidden", ["XADD"])
    assert second == ("store.forbidden", ["PTTL", "XADD"])
    forbidden = next(each for each in events_of(caplog) if each["event"] == "store.forbidden")
    assert forbidden["advice"] == "ACL SETUSER … +xadd"


async def test_a_refused_call(stub: Stub, user: User, caplog: pytest.LogCaptureFixture) -> None:
    """A call that lacks a right within a script is UNAVAILABLE, on every Redis, and no defect."""
    await put(stub, key())
    user.take("xadd")
    failure = await failure_of(put(stub, key()))
    assert failure.reason == "STORE_UNAVAILABLE"
    assert all(each["event"] != "store.refused" for each in events_of(caplog))


async def test_rights_that_calls_do_not_need(
    limited: Settings, user: User, caplog: pytest.LogCaptureFixture
) -> None:
    """If only operators' commands are refused, a server serves, and its log names them once."""
    caplog.set_level(logging.INFO, "relevo_server")
    for command in ("scan", "xdel"):
        user.take(command)
    async with Server(limited) as server:
        await until_health(server, "SERVING")
        await server._health._check()  # pyright: ignore[reportPrivateUsage]
    assert told(events_of(caplog)) == [("store.limited", ["SCAN", "XDEL"])]


async def test_keys_that_the_user_may_not_touch(
    limited: Settings, user: User, caplog: pytest.LogCaptureFixture
) -> None:
    """A user who may touch the layout but not the partitions is noticed: NOT_SERVING, and why."""
    caplog.set_level(logging.INFO, "relevo_server")
    user.give("resetkeys", f"~{limited.store_prefix}:*")
    async with Server(limited) as server:
        assert await health_of(server.address) == "NOT_SERVING"
    (lost,) = (each for each in events_of(caplog) if each["event"] == "store.lost")
    assert "NoPermissionError" in lost["cause"]


async def test_checks_change_nothing(server: Server, limited: Settings, redis: RedisClient) -> None:
    """To try the commands writes nothing: no key is there, and nothing is sent to replicas."""
    before = redis("INFO", "persistence")["rdb_changes_since_last_save"]
    for _ in range(3):
        await server._health._check()  # pyright: ignore[reportPrivateUsage]
    assert redis.names(limited.store_prefix) == [f"{limited.store_prefix}:layout"]
    assert redis("INFO", "persistence")["rdb_changes_since_last_save"] == before


async def test_another_database(redis_url: str, settings: Settings, redis: RedisClient) -> None:
    """A database other than 0 needs `select`, and nothing more."""
    with User([redis], settings.store_prefix, "+select") as user:
        url = SecretStr(f"{user.url(redis_url)}/1")
        other = settings.model_copy(update={"store": url})
        async with Server(other) as server:
            assert await health_of(server.address) == "SERVING"
        user.take("select")
        async with Server(other) as server:
            assert await health_of(server.address) == "NOT_SERVING"
    with RedisClient(f"{redis_url}/1") as there:
        there.forget(settings.store_prefix)
