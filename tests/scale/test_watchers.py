"""The generator's streams behave as near caches do, against a store that the test plays."""

import asyncio
import time
from typing import Any

import pytest
from relevo.v1.context_pb2 import ContextKey
from relevo.v1.store_pb2 import Batch, Invalidated, PutRequest, Reset, ResetReason, WatchResponse
from scale.scripted import (
    PARTITION,
    ScriptedStore,
    Stream,
    clock,
    entry,
    pong,
    sign,
    unknown_fields,
)
from support.waiting import until_async

from benchmarks.calls import path
from benchmarks.scale.generator import REQUEST_ID, Generator, Target

# The first test builds the generator.
pytestmark = pytest.mark.timeout(300)

KEY = ContextKey(scope="conversation", tenant_id="acme", id="c-1")


async def opened(load: Generator, store: ScriptedStore, streams: int = 1) -> Stream:
    """Open streams that watch the key. Returns the first one."""
    await load.open(
        [store.address],
        [KEY.SerializeToString()],
        streams=streams,
        connections=streams,
        pace=1000,
    )
    return await store.stream(0)


async def current(load: Generator) -> int:
    """The number of streams whose copy a call could use."""
    number: int = (await load.state())["current"]
    return number


async def become(load: Generator, number: int) -> None:
    """Wait until so many streams are current."""

    async def are() -> bool:
        return await current(load) == number

    await until_async(are, within=60)


async def test_a_stream_begins_as_a_clients(load: Generator, store: ScriptedStore) -> None:
    """It says who watches in a ping, accepts batches, and subscribes; once answered, it pings."""
    stream = await opened(load, store)
    await stream.make_current(5)
    assert stream.pings == [1]
    await until_async(lambda: len(stream.pings) >= 3, within=60)
    first, second = stream.requests[:2]
    assert (first.ping.number, first.accepts_batches) == (1, True)
    assert first.client.process_id > 0
    assert first.HasField("report")
    assert second.subscribe.key == KEY
    assert (second.subscribe.number, second.subscribe.position) == (2, 0)
    assert stream.pings == sorted(set(stream.pings))
    assert all(each.ping.number > 2 for each in stream.requests[2:])
    # Servers that give no signs of life do not know `Ping.sign_interval`.
    others = [each for each in stream.requests if not each.HasField("ping")]
    assert unknown_fields(others) == []


@pytest.mark.parametrize("is_pinged_first", [True, False], ids=["ping first", "answer first"])
async def test_a_copy_needs_its_answer_and_a_ping(
    load: Generator, store: ScriptedStore, is_pinged_first: bool
) -> None:
    """A copy is current after the answer to its Subscribe and to a ping, and not after one."""
    stream = await opened(load, store)
    subscribe = await stream.subscribed()
    of_another = entry(KEY, 5, answers=subscribe.number + 1000)
    needed = [pong(stream.pings[-1]), entry(KEY, 5, answers=subscribe.number)]
    first, second = needed if is_pinged_first else reversed(needed)
    stream.send(of_another, first)
    await heard(load, 2)
    assert await current(load) == 0
    stream.send(second)
    await become(load, 1)


async def heard(load: Generator, messages: int) -> None:
    """Wait until so many more messages have come."""
    total = 0

    async def have() -> bool:
        nonlocal total
        total += (await load.window())["messages"]
        return bool(total >= messages)

    await until_async(have, within=60)


async def test_silence_ends_trust_and_the_stream(load: Generator, store: ScriptedStore) -> None:
    """A stream that is not answered for 2 s is opened again, and goes on from where it was."""
    stream = await opened(load, store)
    await stream.make_current(5)
    await become(load, 1)
    await become(load, 0)  # pings are not answered any more
    again = await store.stream(1)
    subscribe = await again.subscribed()
    assert (subscribe.known_version, subscribe.position) == (5, 100)
    assert subscribe.number > stream.subscribes[0].number
    window = await load.window()
    assert (window["ended"], window["silent"]) == (1, 1)
    await again.make_current(5)
    await become(load, 1)


async def test_a_first_answer_is_waited_for(load: Generator, store: ScriptedStore) -> None:
    """A stream without an answer is opened again later than a silent one, and pings once."""
    begun = time.monotonic()
    stream = await opened(load, store)
    again = await store.stream(1)
    assert time.monotonic() - begun > 4.0
    assert stream.pings == [1]
    window = await load.window()
    assert (window["ended"], window["silent"]) == (1, 1)
    await again.make_current(5)
    await become(load, 1)


@pytest.mark.timing  # the server's clock is mapped only if its answer takes less than 250 ms
async def test_signs_of_life_need_no_pings(load: Generator, store: ScriptedStore) -> None:
    """If the server gives signs by its own clock, they prove the copy, and few pings are sent."""
    stream = await opened(load, store)
    subscribe = await stream.subscribed()
    stream.send(entry(KEY, 5, answers=subscribe.number))
    begun = moment = time.monotonic_ns() // 1000
    answered = 0
    while moment < begun + 2_300_000:  # longer than a copy is trusted without a sign
        moment = time.monotonic_ns() // 1000
        for ping in stream.pings[answered:]:
            stream.send(clock(ping, moment))
        answered = len(stream.pings)
        stream.send(sign(moment))
        await become(load, 1)
        await asyncio.sleep(0.05)
    assert answered <= 2


async def test_a_sign_of_the_future_proves_nothing(load: Generator, store: ScriptedStore) -> None:
    """A moment that lies in the future by the map of the server's clock makes no copy current."""
    stream = await opened(load, store)
    subscribe = await stream.subscribed()
    stream.send(entry(KEY, 5, answers=subscribe.number))
    stream.send(clock(stream.pings[-1], 1_000_000), sign(3_600_000_000))
    await heard(load, 3)
    assert await current(load) == 0


async def test_a_stream_that_ends_is_opened_again(load: Generator, store: ScriptedStore) -> None:
    """A stream that its server ends is not current, is counted, and comes back."""
    stream = await opened(load, store)
    await stream.make_current(5)
    await become(load, 1)
    await load.window()
    stream.end()
    again = await store.stream(1)
    state = await load.state()
    assert state["current"] == 0
    assert sum(state["endings"].values()) == 1
    window = await load.window()
    assert (window["ended"], window["silent"]) == (1, 0)
    await again.make_current(6)
    await become(load, 1)


async def test_a_reset_subscribes_anew(load: Generator, store: ScriptedStore) -> None:
    """After a reset a copy is not current until a new Subscribe is answered."""
    stream = await opened(load, store)
    await stream.make_current(5)
    await become(load, 1)
    reset = Reset(partition=PARTITION, reason=ResetReason.RESET_REASON_SLOW_WATCHER)
    stream.send(WatchResponse(reset=reset))
    subscribe = await stream.subscribed(times=2)
    assert (subscribe.known_version, subscribe.position) == (0, 0)
    assert await current(load) == 0
    stream.send(entry(KEY, 6, answers=subscribe.number), pong(stream.pings[-1]))
    await become(load, 1)
    assert (await load.window())["resets"] == 1


@pytest.mark.parametrize("how", ["value", "batch", "later", "changed", "in frames"])
async def test_how_a_change_is_told(load: Generator, store: ScriptedStore, how: str) -> None:
    """A value tells of a change; so do one in a batch, a later one, and that there is one."""
    stream = await opened(load, store)
    await stream.make_current(5)
    await become(load, 1)
    changed = Invalidated(key=KEY, revision=101, partition=PARTITION, is_changed=True)
    store.told = {
        "value": entry(KEY, 101),
        "batch": WatchResponse(batch=Batch(messages=[entry(KEY, 100), entry(KEY, 101)])),
        "later": entry(KEY, 102),  # changes that follow each other may be told as one
        "changed": WatchResponse(invalidated=changed),
        "in frames": entry(KEY, 101, size=200_000),
    }[how]
    told = await push(load, store, within=60)
    assert (told["writes"], told["watchers"], told["told"], told["untold"]) == (1, 1, 1, 0)
    assert 0 < told["p50"] <= told["p99"] <= told["last"] <= told["worst"]


@pytest.mark.parametrize("told", [None, entry(KEY, 100)], ids=["nothing", "an earlier one"])
async def test_what_is_not_told_is_counted(
    load: Generator, store: ScriptedStore, told: WatchResponse | None
) -> None:
    """A watcher that has not come to the version of a change counts as one that was not told."""
    stream = await opened(load, store)
    await stream.make_current(5)
    await become(load, 1)
    store.told = told
    result = await push(load, store, within=0.1)
    assert (result["told"], result["untold"]) == (0, 1)


async def test_nobody_watches_another_key(load: Generator, store: ScriptedStore) -> None:
    """A write of a key that is not the fleet's has no watchers, and waits for none."""
    stream = await opened(load, store)
    await stream.make_current(5)
    await become(load, 1)
    result = await push(load, store, key=-1, within=60)
    assert (result["writes"], result["watchers"], result["untold"]) == (1, 0, 0)


async def test_each_put_has_an_id_of_its_own(load: Generator, store: ScriptedStore) -> None:
    """A Put that is made again and again is another Put each time."""
    await opened(load, store)
    await push(load, store, key=-1, writes=3, within=60)
    assert len({put.request_id for put in store.puts}) == 3
    assert {put.context.user_id for put in store.puts} == {"u"}
    assert unknown_fields(store.puts) == []


async def push(load: Generator, store: ScriptedStore, **how: Any) -> Any:
    """Put the key, and wait until its watchers are told."""
    request = PutRequest(key=KEY)
    request.context.user_id = "u"
    target = Target(store.address, path("Put"), REQUEST_ID)
    how = {"key": 0, "writes": 1, "interval": 0, **how}
    return await load.push(target, request.SerializeToString(), **how)
