"""Requests of a stream end when they are superseded: by newer requests, or the stream's end."""

from collections.abc import AsyncIterator, Sequence

import pytest
from relevo_server.keys import Key
from relevo_server.settings import Settings
from relevo_server.storage.interface import Limits, Read
from support.clients.calls import Stub, key, put
from support.clients.watching import Watch
from support.servers.serving import serving_from
from support.servers.storages import GatedStorage
from support.waiting import until_async


class Recording(GatedStorage):
    """A backend with a gate, which records the entries that were read."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    async def read(
        self,
        keys: Sequence[Key],
        known_versions: Sequence[int] = (),
        limits: Limits | None = None,
    ) -> Read:
        """Record the keys, then wait."""
        self.asked += [each.id for each in keys]
        return await super().read(keys, known_versions, limits)


@pytest.fixture
def storage() -> Recording:
    """A backend whose reads wait while its gate is closed, as in an outage."""
    return Recording()


@pytest.fixture
async def stub(storage: Recording) -> AsyncIterator[Stub]:
    """The stub of a server with this backend."""
    async with serving_from(storage, Settings()) as stub:
        yield stub


async def hold_up(storage: Recording, watch: Watch) -> None:
    """Close the gate, and let a read wait at it."""
    await watch.answer(watch.subscribe(key("none")))
    storage.gate.clear()
    watch.subscribe(key("held-up"))
    await until_async(lambda: storage.waiting)
    storage.asked.clear()


async def answers(watch: Watch, last: int) -> list[int]:
    """The numbers of all answers up to this one."""
    numbers: list[int] = []
    while last not in numbers:
        numbers.append((await watch.news()).answers)
    return numbers


async def test_a_newer_request_replaces_the_older_one(
    storage: Recording, stub: Stub, watch: Watch
) -> None:
    """Of many waiting Subscribes for a key, only the last is answered, with one read.

    That includes a Subscribe whose read has begun: its result does not answer a later one.
    """
    await put(stub, key())
    await hold_up(storage, watch)
    being_read = watch.subscribe(key("held-up"))
    numbers = [watch.subscribe(key()) for _ in range(100)]
    last = watch.subscribe(key("last"))
    await watch.pong(watch.ping())  # this one has arrived, and so have those before it
    storage.gate.set()
    told = await answers(watch, last)
    assert sorted(told) == [being_read, numbers[-1], last]
    assert storage.asked.count("c1") <= 2  # once for its size, once for its context


async def test_an_unsubscribe_ends_what_was_asked_for(
    storage: Recording, stub: Stub, watch: Watch
) -> None:
    """After an Unsubscribe, its subscription is neither answered nor read."""
    await put(stub, key())
    await hold_up(storage, watch)
    watch.subscribe(key())
    watch.unsubscribe(key())
    last = watch.subscribe(key("last"))
    await watch.pong(watch.ping())
    storage.gate.set()
    assert last in await answers(watch, last)
    assert "c1" not in storage.asked


async def test_streams_that_are_gone_are_not_answered(
    storage: Recording, stub: Stub, watch: Watch
) -> None:
    """After an outage, only subscriptions of open streams are read."""
    await hold_up(storage, watch)
    for turn in range(20):
        async with Watch(stub) as gone:
            for i in range(50):
                gone.subscribe(key(f"gone-{turn}-{i}"))
            # The log can be read, which shows what has arrived.
            await gone.pong(gone.ping())
    last = watch.subscribe(key("last"))
    await watch.pong(watch.ping())
    storage.gate.set()
    await answers(watch, last)
    late = [name for name in storage.asked if name.startswith("gone")]
    assert len(late) <= 50, f"{len(late)} entries are read that nobody asks for any more"


async def test_a_small_stream_does_not_wait_for_a_large_one(
    storage: Recording, stub: Stub, watch: Watch
) -> None:
    """Streams take turns: a stream with one subscription is answered among the first."""
    await hold_up(storage, watch)
    async with Watch(stub) as small:
        for i in range(2000):
            watch.subscribe(key(f"many-{i}"))
        await watch.pong(watch.ping())
        number = small.subscribe(key("one"))
        await small.pong(small.ping())
        storage.gate.set()
        await small.answer(number)
    assert storage.asked.index("one") < 100
