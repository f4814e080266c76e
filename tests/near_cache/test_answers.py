"""Answers that fill a cache leave the event loop to calls: they are published in short steps."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from relevo.v1.context_pb2 import ExecutionContext
from relevo_server import errors
from relevo_server.event_log.copies import Copies
from relevo_server.event_log.follower import Follower
from relevo_server.event_log.messages import Message
from relevo_server.event_log.outbox import Outbox
from relevo_server.event_log.subscriptions import SubscribeArgs
from relevo_server.keys import Key
from relevo_server.settings import Settings
from relevo_server.storage.interface import Limits, Read, Write
from relevo_server.telemetry.counts import Counts
from relevo_server.wire.entries import Entries
from support.servers.storages import GatedStorage

KEYS = [Key("conversation", "acme", f"c{i}") for i in range(64)]
ROOM = 1 << 20


class Counting(Outbox):
    """An outbox that counts the values in it. Each value takes `cost` seconds of `Counting.now`."""

    now = 0.0
    values = 0
    cost = 0.0

    def put(self, message: Message) -> None:
        """Put the message, and count it if it is a value."""
        self.values += message.is_value
        Counting.now += self.cost
        super().put(message)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Followers have the clock of these outboxes."""
    monkeypatch.setattr("relevo_server.event_log.follower.monotonic", lambda: Counting.now)


@pytest.fixture
def storage(request: pytest.FixtureRequest) -> GatedStorage:
    """A backend, of the class that a test asks for."""
    kind: type[GatedStorage] = getattr(request, "param", GatedStorage)
    return kind()


@pytest.fixture
async def follower(storage: GatedStorage) -> AsyncIterator[Follower]:
    """A follower of the keys' partition."""
    context = ExecutionContext(user_id="u").SerializeToString()
    for each in KEYS:
        await storage.write(Write(each, context, 60_000))
    copies = Copies(max_entries=1, max_bytes=1, max_staleness=1)
    partition = storage.partition_of(KEYS[0].tenant_id)
    follower = Follower(storage, partition, Entries(), copies, asyncio.Lock(), Settings(), Counts())
    yield follower
    await follower.close()


@pytest.mark.parametrize("cost, number", [(60e-6, 4), (500e-6, 2), (0, 16)])
async def test_answers_are_told_a_few_in_a_turn(
    follower: Follower, cost: float, number: int
) -> None:
    """A step publishes answers for 0.2 ms, however many were read together; at least two."""
    outbox = Counting(ROOM)
    outbox.cost = cost
    for i, each in enumerate(KEYS, start=1):
        follower.subscribe(outbox, each, SubscribeArgs(i, 0, 0))
    most = 0
    while outbox.values < len(KEYS):
        before = outbox.values
        await asyncio.sleep(0)
        most = max(most, outbox.values - before)
    assert most == number


async def test_partitions_take_turns() -> None:
    """However many partitions have answers: they are a few in a turn of the loop for all."""
    storage, turns, outbox = GatedStorage(), asyncio.Lock(), Counting(ROOM)
    outbox.cost = 500e-6
    keys = [Key("conversation", f"t{i}", f"c{j}") for i in range(8) for j in range(8)]
    copies = Copies(max_entries=1, max_bytes=1, max_staleness=1)
    followers = {
        partition: Follower(storage, partition, Entries(), copies, turns, Settings(), Counts())
        for partition in {storage.partition_of(each.tenant_id) for each in keys}
    }
    assert len(followers) == 4
    for number, each in enumerate(keys, start=1):
        partition = storage.partition_of(each.tenant_id)
        followers[partition].subscribe(outbox, each, SubscribeArgs(number, 0, 0))
    most = 0
    while outbox.values < len(keys):
        before = outbox.values
        await asyncio.sleep(0)
        most = max(most, outbox.values - before)
    for follower in followers.values():
        await follower.close()
    assert most == 2


async def test_a_follower_that_ends_amid_its_answers(follower: Follower) -> None:
    """If a follower ends amid its answers, the room that it reserved becomes free."""
    outbox = Counting(ROOM)
    for number, each in enumerate(KEYS, start=1):
        follower.subscribe(outbox, each, SubscribeArgs(number, 0, 0))
    assert await outbox.take(within=10)
    await follower.close()
    assert outbox.values < len(KEYS), "all were told"
    while outbox.next():
        pass
    assert outbox.has_room(ROOM), "room is still reserved"
    outbox.reserve(1)
    assert not outbox.has_room(ROOM), "anything has room if none is taken"


class FailingOnce(GatedStorage):
    """A memory backend whose first read of contexts fails."""

    has_failed = False

    async def read_within(
        self, keys: Sequence[Key], limits: Limits, *, position: int | None = None
    ) -> Read:
        """Fail, or read."""
        if limits.each and not self.has_failed:
            self.has_failed = True
            raise errors.unavailable()
        return await super().read_within(keys, limits, position=position)


@pytest.mark.parametrize("storage", [FailingOnce], indirect=True)
async def test_a_read_that_fails(storage: FailingOnce, follower: Follower) -> None:
    """The room that was reserved for its answers is given back, and they are read again."""
    outbox = Counting(ROOM)
    for number, each in enumerate(KEYS, start=1):
        follower.subscribe(outbox, each, SubscribeArgs(number, 0, 0))
    while outbox.values < len(KEYS):
        await outbox.take(within=10)
    while outbox.next():
        pass
    assert storage.has_failed
    assert outbox.has_room(ROOM), "room is still reserved"
