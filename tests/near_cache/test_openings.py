"""New Watch streams have turns: a few are opened at a time, and none waits for a silent one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing

import pytest
from relevo.v1.store_pb2 import Ping, Subscribe, WatchRequest
from relevo_server import errors
from relevo_server.access.callers import Caller
from relevo_server.access.sessions import Session
from relevo_server.errors import StoreError
from relevo_server.service import openings
from relevo_server.service.openings import AT_ONCE, Openings, Turn
from relevo_server.service.store import ContextStore
from relevo_server.settings import Settings
from relevo_server.storage.memory import MemoryStorage
from support.clients.calls import Stub, get, key, put
from support.clients.watching import Watch
from support.waiting import until_async


async def taken(of: Openings) -> Turn:
    """A turn, once it has come."""
    return await Turn(of).__aenter__()


async def test_a_few_at_a_time_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many streams as there are turns are opened, the next ones in the order of their coming."""
    monkeypatch.setattr(openings, "LONGEST", 60.0)
    some = Openings(2)
    first, second = await taken(some), await taken(some)
    waiting = [asyncio.create_task(taken(some)) for _ in range(4)]
    await until_async(lambda: some.waiting == 4)
    second.end()
    second.end()  # a turn ends once
    await until_async(lambda: some.waiting == 3)
    assert [each.done() for each in waiting] == [True, False, False, False]
    waiting[1].cancel()  # its client has left
    first.end()
    await until_async(lambda: some.waiting == 1)
    assert [each.done() for each in waiting] == [True, True, True, False]
    (await waiting[0]).end()
    (await waiting[3]).end()


async def test_a_turn_ends_by_itself() -> None:
    """A stream that does nothing with its turn keeps it for a moment only."""
    some = Openings(1)
    silent = await taken(some)
    async with asyncio.timeout(20):
        (await taken(some)).end()
    silent.end()


async def test_streams_that_ask_for_nothing(stub: Stub) -> None:
    """However many silent streams are opened, another one is answered, and so are calls."""
    await put(stub, key())
    async with AsyncExitStack() as stack:
        silent = [await stack.enter_async_context(Watch(stub)) for _ in range(2 * AT_ONCE)]
        await asyncio.gather(*(each.call.wait_for_connection() for each in silent))
        await get(stub, key())
        last = await stack.enter_async_context(Watch(stub))
        await last.answer(last.subscribe(key()))


async def test_the_first_answers_are_one_message(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answers to a stream's first ping and Subscribe, and their proof, come together."""
    monkeypatch.setattr("relevo_server.service.watch.TOGETHER", 0.5)
    await put(stub, key())
    async with Watch(stub) as watch:
        ping = WatchRequest(ping=Ping(number=1), accepts_batches=True)
        ping.ping.sign_interval.FromSeconds(60)
        watch.send(ping)
        watch.send(WatchRequest(subscribe=Subscribe(key=key(), number=2)))
        first = await watch.next()
    messages = first.batch.messages or [first]
    positions = [p for each in messages for p in (*each.progress.positions, *each.positions)]
    assert first.clock.ping == 1
    assert [each.entry.key for each in messages if each.answers == 2] == [key()]
    assert max(each.time for each in positions) >= first.clock.time


async def test_a_right_that_ends_before_the_turn(settings: Settings) -> None:
    """A stream whose caller is gone when its turn comes ends, and was told nothing."""
    storage = MemoryStorage(settings.partitions, log_length=1000, request_ttl_ms=1000)
    service = ContextStore(storage, settings)
    watching = service.parts.watching

    def unknown() -> Caller:
        raise errors.unauthenticated()

    session = Session(Caller("", None, {}), unknown)

    async def requests() -> AsyncIterator[bytes]:
        yield WatchRequest(subscribe=Subscribe(key=key(), number=1)).SerializeToString()
        await asyncio.Event().wait()

    watching.openings = Openings(0)
    async with aclosing(watching.stream(requests(), session, "peer")) as stream:
        message = asyncio.ensure_future(anext(stream))
        await until_async(lambda: watching.openings.waiting == 1)
        session.review()
        watching.openings.give_back()
        with pytest.raises(StoreError):
            await message
    await service.close()
