"""Reads: the fence, contexts that are not sent twice, and the store's timestamps."""

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode
from relevo.v1.store_pb2 import Consistency
from support.clients.calls import (
    Stub,
    context,
    get,
    invalidate,
    invalidate_tenant,
    is_alive,
    key,
    masked,
    put,
    seconds,
)
from support.failures import failure_of
from support.waiting import until_async

MICROSECONDS = Timestamp(seconds=1_700_000_000, nanos=123_456_000)


@pytest.mark.parametrize("consistency", Consistency.values())
async def test_a_fence_that_is_reached(stub: Stub, consistency: Consistency) -> None:
    """A Get is answered if the store has reached `min_revision`, whatever its consistency."""
    first = (await put(stub, key())).revision
    last = (await put(stub, key("c2"))).revision
    for fence in (0, first, last):
        answer = await get(stub, key(), min_revision=fence, consistency=consistency)
        assert (answer.entry.version, answer.revision) == (first, last)


async def test_a_fence_that_is_not_reached(stub: Stub) -> None:
    """If the store is behind `min_revision`, the error says so, and names the store's revision."""
    revision = (await put(stub, key())).revision
    for target in (key(), key("none")):
        failure = await failure_of(get(stub, target, min_revision=revision + 1))
        assert (failure.code, failure.reason) == (StatusCode.FAILED_PRECONDITION, "STORE_BEHIND")
        assert failure.metadata["revision"] == str(revision)
    failure = await failure_of(get(stub, key(), min_revision=revision + 1, include_layers=True))
    assert failure.reason == "STORE_BEHIND"


async def test_a_fence_before_an_empty_store(stub: Stub) -> None:
    """A store without writes is behind every fence."""
    failure = await failure_of(get(stub, key(), min_revision=2**63 - 1))
    assert failure.metadata == {"key": "conversation:acme:c1", "revision": "0"}


async def test_a_fence_is_reached_by_an_end(stub: Stub) -> None:
    """An Invalidate advances the store: with its revision as fence, its entry is not found."""
    await put(stub, key())
    revision = (await invalidate(stub, key())).revision
    failure = await failure_of(get(stub, key(), min_revision=revision))
    assert (failure.code, failure.reason) == (StatusCode.NOT_FOUND, "NO_ENTRY")
    assert failure.metadata == {"key": "conversation:acme:c1"}
    revision = (await invalidate_tenant(stub, "acme")).revision
    failure = await failure_of(get(stub, key(), min_revision=revision))
    assert failure.reason == "NO_ENTRY"


async def test_what_is_known_is_not_sent_again(stub: Stub) -> None:
    """If the client has the current version, the answer omits the context, and nothing else."""
    await put(stub, key(), context(user_id="u"))
    full = await get(stub, key())
    answer = await get(stub, key(), known_version=full.entry.version)
    assert answer.not_modified
    assert not answer.entry.HasField("context")
    assert (answer.entry.key, answer.entry.version) == (full.entry.key, full.entry.version)
    assert answer.revision == full.revision
    assert answer.entry.ttl.seconds > 0


async def test_what_is_outdated_is_sent(stub: Stub) -> None:
    """For any version but the current one, the full context is returned, created again or not."""
    old = (await put(stub, key(), context(user_id="u"))).revision
    for end in (put(stub, key()), invalidate(stub, key())):
        await end
        await put(stub, key(), context(user_id="v"))
        answer = await get(stub, key(), known_version=old)
        assert not answer.not_modified
        assert answer.entry.context.user_id == "v"
    current = answer.entry.version
    assert (await get(stub, key(), known_version=current + 1)).entry.context.user_id == "v"
    assert not (await get(stub, key())).not_modified


async def test_create_time_is_when_the_entry_began(stub: Stub) -> None:
    """If a Put omits `create_time`, the entry keeps its own until it ends."""
    first = (await put(stub, key())).revision
    await put(stub, key("clock"))
    created = (await get(stub, key())).entry.context.create_time
    assert created.ToMilliseconds() == first >> 20

    async def time_goes_on() -> bool:
        return (await put(stub, key())).revision >> 20 > first >> 20

    await until_async(time_goes_on)
    await put(stub, key(), update_mask=masked("user_id"))
    found = (await get(stub, key())).entry
    assert found.context.create_time == created
    assert found.context.update_time.ToMilliseconds() == found.version >> 20
    assert found.context.update_time.ToMilliseconds() > created.ToMilliseconds()


@pytest.mark.parametrize("how", ["invalidated", "tenant", "expired"])
async def test_create_time_begins_anew(stub: Stub, how: str) -> None:
    """An entry that was put again after its end has a new `create_time`."""
    first = (await put(stub, key(), ttl=seconds(0.05))).revision
    if how == "invalidated":
        await invalidate(stub, key())
    elif how == "tenant":
        await invalidate_tenant(stub, "acme")

    async def time_goes_on() -> bool:
        later = (await put(stub, key("clock"))).revision >> 20 > first >> 20
        return later and not await is_alive(stub, key())

    await until_async(time_goes_on)
    again = (await put(stub, key())).revision
    found = (await get(stub, key())).entry.context
    assert found.create_time.ToMilliseconds() == again >> 20


@pytest.mark.parametrize(
    "given",
    [MICROSECONDS, Timestamp(seconds=1_700_000_000), Timestamp(), Timestamp(nanos=1000)],
    ids=["microseconds", "seconds", "epoch", "first"],
)
async def test_a_create_time_that_is_given_is_kept(stub: Stub, given: Timestamp) -> None:
    """A Put's own `create_time` is kept, to the microsecond, until a Put omits it."""
    first = (await put(stub, key(), context(create_time=given))).revision
    assert (await get(stub, key())).entry.context.create_time == given
    await put(stub, key(), context(user_id="u"), update_mask=masked("user_id"))
    assert (await get(stub, key())).entry.context.create_time == given
    await put(stub, key())
    assert (await get(stub, key())).entry.context.create_time.ToMilliseconds() == first >> 20


async def test_update_time_is_the_stores(stub: Stub) -> None:
    """`update_time` is the time of the write, whatever the Put says."""
    version = (await put(stub, key(), context(update_time=MICROSECONDS))).revision
    assert (await get(stub, key())).entry.context.update_time.ToMilliseconds() == version >> 20
