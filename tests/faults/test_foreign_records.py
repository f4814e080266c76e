"""Records in Redis that Relevo did not write affect only themselves, never a partition (S8)."""

from collections.abc import AsyncIterator

import pytest
from grpc import StatusCode
from relevo.v1.store_pb2 import LeaseRequest
from relevo_server.keys import partition_of
from relevo_server.settings import Settings
from support.clients.calls import (
    TIMEOUT,
    Stub,
    batch_get,
    context,
    get,
    invalidate,
    invalidate_tenant,
    is_alive,
    key,
    put,
)
from support.clients.watching import Watch
from support.failures import failure_of
from support.redis.client import RedisClient

TAG = f"{{relevo:{partition_of('acme', 64)}}}"
LOG = f"{TAG}:log"
ENTRY = f"{TAG}:entry:conversation:acme:c1"

FOREIGN = {
    "other fields": ("*", "hello", "world"),
    "no key": ("*", "op", "put"),
    "no tenant": ("*", "op", "floor"),
    "an op that is not known": ("*", "op", "compact", "key", "conversation:acme:c1"),
    "a key that is none": ("*", "op", "put", "key", "c1"),
    "bytes that are no text": ("*", "op", b"\xff\xfe", b"\xff", b"\x00"),
    "a key that is no text": ("*", "op", "put", "key", b"conversation:acme:%ff"),
    "many fields": ("*", *(f"f{i}" for i in range(2000))),
    "an id with a long sequence": ("8000000000000-18446744073709551615", "a", "b"),
    "the last sequence of a revision": ("8000000000000-1048575", "a", "b"),
    "an id beyond all revisions": ("9999999999999-1", "a", "b"),
    "the last id that there is": ("18446744073709551615-18446744073709551615", "a", "b"),
}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """No checks of health meanwhile: they run scripts too, ever more as time passes."""
    return settings.model_copy(update={"health_interval": 600.0})


@pytest.fixture
async def watch(stub: Stub) -> AsyncIterator[Watch]:
    """A stream that has subscribed, and got its answer."""
    await put(stub, key())
    async with Watch(stub) as watch:
        await watch.answer(watch.subscribe(key()))
        await watch.pong(watch.ping())
        yield watch


@pytest.mark.parametrize("entry", FOREIGN.values(), ids=FOREIGN.keys())
async def test_a_foreign_log_entry(
    stub: Stub,
    client: RedisClient,
    watch: Watch,
    caplog: pytest.LogCaptureFixture,
    entry: tuple[str | bytes, ...],
) -> None:
    """A foreign log entry is skipped and logged once; later events are sent without a reset."""
    client("XADD", LOG, *entry)
    await watch.pong(watch.ping())
    versions: list[int] = []
    for i in range(3):
        versions.append((await put(stub, key(), context(user_id=f"{i}"))).revision)
        news = await watch.news()
        assert news.entry.version == versions[-1]
        assert news.entry.context.user_id == f"{i}"
        client("XADD", LOG, "*", "one", "more")
        await watch.pong(watch.ping())
    assert versions == sorted(versions)
    assert max(versions) < 1 << 63
    # Another stream starts at this one's position, and so does this one after it reconnects.
    number = watch.subscribe(key(), known_version=versions[-1], position=watch.reached)
    assert (await watch.answer(number)).entry.version == versions[-1]
    lines = [record.getMessage() for record in caplog.records]
    assert sum("watch.foreign_entry" in line for line in lines) == 1
    assert not any("failed" in line or "refused" in line for line in lines)


async def test_many_foreign_entries(stub: Stub, client: RedisClient, watch: Watch) -> None:
    """Many foreign log entries are not read again and again, and writes are sent."""
    for i in range(2000):
        client("XADD", LOG, "*", "i", i)
    version = (await put(stub, key())).revision
    assert (await watch.news()).entry.version == version
    await watch.progress(version)
    client("CONFIG", "RESETSTAT")
    for _ in range(5):
        await watch.pong(watch.ping())
    looks = client("INFO", "commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"]
    assert looks < 50


BROKEN = {
    "another type": [("SET", ENTRY, "hello")],
    "other fields": [("HSET", ENTRY, "version", "hello")],
    "no times": [("HSET", ENTRY, "version", "1-1")],
    "a sequence that is too long": [("HSET", ENTRY, "version", f"1-{1 << 40}", "created", "1-0")],
}


@pytest.mark.parametrize("commands", BROKEN.values(), ids=BROKEN.keys())
async def test_a_record_that_is_no_entry(
    stub: Stub, client: RedisClient, watch: Watch, commands: list[tuple[str, ...]]
) -> None:
    """A foreign record under an entry's key is DATA_LOSS, and a Put replaces it.

    Everything else in its partition can be read, watched and written.
    """
    other, version = key("c2"), (await put(stub, key("c2"))).revision
    client("DEL", ENTRY)
    for command in commands:
        client(*command)
    # The event of the manipulated entry reports a change.
    client("XADD", LOG, "*", "op", "put", "key", "conversation:acme:c1")
    news = await watch.news()
    assert (news.invalidated.key, news.invalidated.is_changed) == (key(), True)
    first, second = await batch_get(stub, key(), other)
    assert second.response.entry.version == version
    assert first.error.code == StatusCode.DATA_LOSS.value[0]
    for call in (get(stub, key()), stub.Lease(LeaseRequest(key=key()), timeout=TIMEOUT)):
        failure = await failure_of(call)
        assert (failure.code, failure.reason) == (StatusCode.DATA_LOSS, "CORRUPT_ENTRY")
    # In a batch with other entries, it does not delay them.
    numbers = [watch.subscribe(each) for each in (key(), other)]
    answers = {message.answers: message for message in [await watch.news(), await watch.news()]}
    assert answers[numbers[0]].invalidated.is_changed
    assert answers[numbers[1]].entry.version == version
    # A Put replaces it, and is sent like any other.
    written = (await put(stub, key(), context(user_id="new"))).revision
    assert (await watch.news()).entry.version == written
    assert (await get(stub, key())).entry.context.user_id == "new"


async def test_a_record_that_is_no_entry_can_be_ended(stub: Stub, client: RedisClient) -> None:
    """An Invalidate ends a foreign record, and all other entries that it names."""
    await put(stub, key("c2"))
    client("SET", ENTRY, "hello")
    answer = await invalidate(stub, key(), key("c2"))
    assert answer.invalidated_count == 1
    assert not await is_alive(stub, key())
    assert not await is_alive(stub, key("c2"))
    assert not client("EXISTS", ENTRY)


@pytest.mark.parametrize("field", ["floor:acme", "floor:acme:conversation"])
async def test_a_floor_that_is_none(stub: Stub, client: RedisClient, field: str) -> None:
    """Under a foreign floor entries cannot be read, but ended; the tenant's end replaces it."""
    await put(stub, key())
    client("HSET", f"{TAG}:state", field, "hello")
    assert (await failure_of(get(stub, key()))).reason == "CORRUPT_ENTRY"
    async with Watch(stub) as watch:
        await watch.answer(watch.subscribe(key("c2")))
        watch.touch(key())
        await watch.pong(watch.ping())
    assert (await invalidate(stub, key())).invalidated_count == 0
    assert not await is_alive(stub, key())
    scope = field.removeprefix("floor:acme").removeprefix(":")
    await invalidate_tenant(stub, "acme", scope)
    await put(stub, key())
    assert await is_alive(stub, key())


async def test_a_layer_that_is_no_entry(stub: Stub, client: RedisClient) -> None:
    """A foreign record as a layer is named in the error; a read of the head alone succeeds."""
    await put(stub, key("head"), context(includes=[key()]))
    client("SET", ENTRY, "hello")
    failure = await failure_of(get(stub, key("head"), include_layers=True))
    assert failure.code is StatusCode.DATA_LOSS
    assert failure.metadata["key"] == "conversation:acme:c1"
    assert (await get(stub, key("head"))).entry.version


async def test_what_an_earlier_release_made_of_a_foreign_id(
    stub: Stub, client: RedisClient, watch: Watch
) -> None:
    """A partition whose last revision comes from an impossible foreign id gets a valid one next."""
    client("XADD", LOG, "1764363222000000-0", "a", "b")  # microseconds
    client("HSET", f"{TAG}:state", "revision", "1764363222000000-1")
    written = await put(stub, key(), context(user_id="after"))
    answer = await get(stub, key(), min_revision=written.revision)
    assert answer.entry.context.user_id == "after"
    assert answer.entry.version == written.revision == answer.revision
    later = await put(stub, key(), context(user_id="later"))
    assert later.revision > written.revision
    while (await watch.news()).entry.version != later.revision:
        pass


async def test_the_last_revision_that_there_is(stub: Stub, client: RedisClient) -> None:
    """After the greatest possible revision writes fail, and no version repeats."""
    await put(stub, key(), context(user_id="before"))
    client("XADD", LOG, "8796093022207-1048575", "a", "b")
    for _ in range(2):
        failure = await failure_of(put(stub, key(), context(user_id="after")))
        assert failure.code is StatusCode.INTERNAL
    assert (await get(stub, key())).entry.context.user_id == "before"
