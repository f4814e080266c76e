"""A Put repeated with its `request_id` is the same Put (case 24)."""

import asyncio
from typing import Any

import pytest
from grpc import StatusCode
from relevo_server.settings import Settings
from relevo_server.storage import Storage
from support.clients.calls import (
    Stub,
    context,
    get,
    invalidate,
    is_alive,
    key,
    masked,
    put,
    seconds,
)
from support.failures import failure_of
from support.servers.serving import serving, serving_from
from support.servers.storages import GatedStorage
from support.waiting import until_async


async def test_a_repeated_put_is_answered_as_the_first(
    storage: Storage, storage_stub: Stub
) -> None:
    """A repeated Put gets the identical answer later, and has one event."""
    request: dict[str, Any] = {"ttl": seconds(60), "request_id": "r"}
    first = await put(storage_stub, key(), context(user_id="u"), **request)

    async def some_time_has_passed() -> bool:
        return (await get(storage_stub, key())).entry.ttl.ToMilliseconds() < 59_990

    await until_async(some_time_has_passed)
    again = await put(storage_stub, key(), context(user_id="u"), **request)
    assert again == first
    events = (await storage.tail(first.entry.partition, 0, 10)).events
    assert [event.revision for event in events] == [first.revision]


@pytest.mark.parametrize(
    "change",
    [
        {"context": context(user_id="other")},
        {"ttl": seconds(61)},
        {"if_absent": True},
        {"update_mask": masked("user_id")},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_another_put_cannot_have_its_id(stub: Stub, change: dict[str, Any]) -> None:
    """A request_id that a different Put had is refused, and nothing is written."""
    request: dict[str, Any] = {
        "context": context(user_id="u"),
        "ttl": seconds(60),
        "request_id": "r",
    }
    first = await put(stub, key(), **request)
    failure = await failure_of(put(stub, key(), **{**request, **change}))
    assert (failure.code, failure.reason) == (StatusCode.INVALID_ARGUMENT, "REQUEST_ID_REUSED")
    assert failure.fields == ["request_id"]
    answer = await get(stub, key())
    assert (answer.entry.version, answer.revision) == (first.revision, first.revision)


async def test_it_outlives_its_own_if_version(stub: Stub) -> None:
    """A repeated Put succeeds although the first one has changed the version."""
    version = (await put(stub, key())).revision
    first = await put(stub, key(), if_version=version, request_id="r")
    again = await put(stub, key(), if_version=version, request_id="r")
    assert again.revision == first.revision > version


async def test_it_outlives_its_own_if_absent(stub: Stub) -> None:
    """A repeated Put succeeds although the first one has created the entry."""
    first = await put(stub, key(), if_absent=True, request_id="r")
    assert (await put(stub, key(), if_absent=True, request_id="r")).revision == first.revision


@pytest.mark.parametrize("conditional", [False, True], ids=["unconditional", "if_version"])
async def test_a_masked_put_is_repeated_too(stub: Stub, conditional: bool) -> None:
    """A repeated masked Put writes nothing, neither over later writes nor over its own."""
    version = (await put(stub, key(), context(user_id="u", agent_id="a"))).revision
    request: dict[str, Any] = {"update_mask": masked("user_id"), "request_id": "r"}
    if conditional:
        request["if_version"] = version
    first = await put(stub, key(), context(user_id="v"), **request)
    later = await put(stub, key(), context(user_id="w"))
    again = await put(stub, key(), context(user_id="v"), **request)
    assert again.revision == first.revision
    entry = (await get(stub, key())).entry
    assert (entry.version, entry.context.user_id) == (later.revision, "w")


async def test_a_masked_put_is_repeated_after_the_end(stub: Stub) -> None:
    """A repeated masked Put gets its answer even if the entry has ended."""
    await put(stub, key(), context(user_id="u"))
    request: dict[str, Any] = {"update_mask": masked("user_id"), "request_id": "r"}
    first = await put(stub, key(), context(user_id="v"), **request)
    await invalidate(stub, key())
    again = await put(stub, key(), context(user_id="v"), **request)
    assert again.revision == first.revision
    assert not await is_alive(stub, key())


@pytest.mark.parametrize("ended", [False, True], ids=["alive", "ended"])
async def test_a_masked_put_is_repeated_while_it_is_under_way(ended: bool) -> None:
    """A repetition that runs while the first masked Put is in flight gets the first one's answer.

    The late copy has found no record of the request, and reads the entry only after the first copy
    has changed it, or after the entry has ended.
    """
    storage = GatedStorage()
    async with serving_from(storage, Settings()) as stub:
        version = (await put(stub, key(), context(user_id="u"))).revision
        request: dict[str, Any] = {"update_mask": masked("user_id"), "request_id": "r"}
        if not ended:
            request["if_version"] = version
        storage.gate.clear()
        late = asyncio.create_task(put(stub, key(), context(user_id="v"), **request))
        await until_async(lambda: storage.waiting)
        held, storage.gate = storage.gate, asyncio.Event()
        storage.gate.set()
        first = await put(stub, key(), context(user_id="v"), **request)
        if ended:
            await invalidate(stub, key())
        held.set()
        assert (await late).revision == first.revision


async def test_a_repeated_put_does_not_bring_back_what_ended(stub: Stub) -> None:
    """A late copy of a Put does not undo an Invalidate that followed the first copy."""
    first = await put(stub, key(), request_id="r")
    await invalidate(stub, key())
    assert (await put(stub, key(), request_id="r")).revision == first.revision
    assert not await is_alive(stub, key())


async def test_a_repeated_put_does_not_lengthen_a_life(stub: Stub) -> None:
    """The entry's time counts from the first copy, however often the Put is repeated."""
    await put(stub, key(), request_id="r", ttl=seconds(0.2))

    async def expired() -> bool:
        await put(stub, key(), request_id="r", ttl=seconds(0.2))
        return not await is_alive(stub, key())

    await until_async(expired)


async def test_ids_belong_to_keys(stub: Stub) -> None:
    """The same request_id for two keys identifies two Puts."""
    one = await put(stub, key("c1"), request_id="r")
    two = await put(stub, key("c2"), request_id="r")
    assert two.revision > one.revision


@pytest.mark.parametrize("id", ["a:b", "a%3Ab", " ", "日本語", "x" * 128, "é" * 64])
async def test_any_text_is_an_id(stub: Stub, id: str) -> None:  # noqa: A002 - the field's name
    """Up to 128 bytes of any text identify a Put."""
    first = await put(stub, key(), request_id=id)
    assert (await put(stub, key(), request_id=id)).revision == first.revision
    assert (await put(stub, key(), request_id=f"{id[1:]}!")).revision > first.revision


async def test_a_refused_put_is_not_remembered(stub: Stub) -> None:
    """A Put that was refused wrote nothing, so its request_id is still free."""
    failure = await failure_of(put(stub, key(), if_version=1, request_id="r"))
    assert failure.reason == "VERSION_MISMATCH"
    await put(stub, key(), request_id="r")
    assert await is_alive(stub, key())


async def test_it_is_forgotten_in_the_end(settings: Settings) -> None:
    """After `request_id_ttl` the same request_id is a new Put."""
    async with serving(settings.model_copy(update={"request_id_ttl": 0.05})) as stub:
        first = await put(stub, key(), request_id="r")

        async def forgotten() -> bool:
            return (await put(stub, key(), request_id="r")).revision > first.revision

        await until_async(forgotten)
