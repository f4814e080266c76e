"""Large answers count until they are sent."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from grpc import StatusCode
from relevo_server.errors import StoreError
from relevo_server.service.unsent import LARGE, Room, Unsent

ROOM = 10 * LARGE
HALF = 5 * LARGE


class Call:
    """A call whose answer is sent when the test says so."""

    def __init__(self, left: float | None = None) -> None:
        self._left = left
        self._callbacks: list[Callable[[Any], None]] = []

    def time_remaining(self) -> float | None:
        """The seconds that the call has."""
        return self._left

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Call this when the answer is sent."""
        self._callbacks.append(callback)

    def sent(self) -> None:
        """The answer is sent."""
        for callback in self._callbacks:
            callback(self)


@pytest.fixture
async def unsent() -> AsyncIterator[Unsent]:
    """Room for ten large answers. Nothing of it is taken at the end."""
    unsent = Unsent(ROOM)
    yield unsent
    assert unsent.size == 0


def held(unsent: Unsent, size: int = HALF, owner: str = "a") -> Call:
    """A call whose answer is held without a reservation."""
    call = Call()
    context: Any = call
    assert unsent.has_room(owner, size)
    unsent.hold(context, owner, 0, size)
    return call


async def test_there_is_room_again_when_an_answer_is_sent(unsent: Unsent) -> None:
    """Each owner has its own room, and waits until an answer of its own is sent."""
    first, second = held(unsent), held(unsent)
    assert unsent.size == ROOM
    assert not unsent.has_room("a", HALF)
    held(unsent, owner="another").sent()
    third: Any = Call()
    waiting = asyncio.ensure_future(unsent.reserve(third, "a", HALF))
    await asyncio.sleep(0)
    assert not waiting.done()
    first.sent()
    await waiting
    unsent.hold(third, "a", HALF, HALF)
    assert unsent.size == ROOM
    for call in (second, third):
        call.sent()


async def test_small_answers_do_not_count(unsent: Unsent) -> None:
    """What was taken for an answer that is small, or that was never made, is given back."""
    call: Any = Call()
    for size in (LARGE - 1, None):
        room = Room(unsent, "a", call)
        await room.take(ROOM)
        assert unsent.size == ROOM
        if size:
            room.hold(size)
        room.give_back()
        assert unsent.size == 0
    assert Room(unsent, "a", call).has(LARGE - 1)
    Room(unsent, "a", call).hold(LARGE - 1)
    assert unsent.size == 0


async def test_what_is_larger_than_the_room(unsent: Unsent) -> None:
    """An answer that is larger than the whole room waits until there is no other."""
    small = held(unsent)
    large: Any = Call()
    waiting = asyncio.ensure_future(unsent.reserve(large, "a", 2 * ROOM))
    await asyncio.sleep(0)
    assert not waiting.done()
    small.sent()
    await waiting
    unsent.hold(large, "a", 2 * ROOM, 2 * ROOM)
    assert unsent.size == 2 * ROOM
    large.sent()


async def test_an_answer_may_be_larger_than_was_reserved(unsent: Unsent) -> None:
    """What is made may differ from what was expected; what it is counts."""
    call: Any = Call()
    await unsent.reserve(call, "a", LARGE)
    unsent.hold(call, "a", LARGE, 2 * LARGE)
    assert unsent.size == 2 * LARGE
    call.sent()


async def test_first_come_first_served(unsent: Unsent) -> None:
    """A small answer does not overtake a larger one that waits."""
    call: Any = Call()
    await unsent.reserve(call, "a", ROOM - LARGE)
    order: list[str] = []

    async def reserve(name: str, size: int) -> None:
        await unsent.reserve(call, "a", size)
        order.append(name)

    waiting = [asyncio.ensure_future(reserve("large", ROOM - LARGE))]
    await asyncio.sleep(0)
    waiting.append(asyncio.ensure_future(reserve("small", LARGE)))
    await asyncio.sleep(0)
    assert order == []
    unsent.give_back("a", ROOM - LARGE)
    await asyncio.gather(*waiting)
    assert order == ["large", "small"]
    unsent.give_back("a", ROOM)


async def test_who_leaves_gives_way(unsent: Unsent) -> None:
    """A call that is cancelled while it waits holds up nobody, not even if its turn had come."""
    call: Any = Call()
    await unsent.reserve(call, "a", LARGE)
    waiting = [asyncio.ensure_future(unsent.reserve(call, "a", size)) for size in (ROOM, LARGE)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await waiting[1]
    turn = asyncio.ensure_future(unsent.reserve(call, "a", ROOM))
    await asyncio.sleep(0)
    unsent.give_back("a", 2 * LARGE)  # it is its turn now
    turn.cancel()
    with pytest.raises(asyncio.CancelledError):
        await turn
    await asyncio.gather(*waiting, return_exceptions=True)
    assert unsent.size == 0


async def test_a_call_waits_for_most_of_its_time(unsent: Unsent) -> None:
    """A call that finds no room in nine tenths of its time is refused, and may be repeated."""
    first: Any = Call()
    await unsent.reserve(first, "a", ROOM)
    late: Any = Call(left=0.01)
    with pytest.raises(StoreError) as caught:
        await unsent.reserve(late, "a", LARGE)
    assert caught.value.code is StatusCode.RESOURCE_EXHAUSTED
    assert caught.value.retry_after
    unsent.give_back("a", ROOM)
