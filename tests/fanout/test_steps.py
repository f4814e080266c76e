"""One event for many streams: serialized once, and told in steps that calls do not wait for."""

import asyncio
import tracemalloc
from collections.abc import Iterator, Sequence

import pytest
from relevo.v1.context_pb2 import ExecutionContext
from relevo.v1.store_pb2 import WatchResponse
from relevo_server.event_log.copies import Copies
from relevo_server.event_log.fanout import Fanout
from relevo_server.event_log.follower import Follower
from relevo_server.event_log.messages import Message
from relevo_server.event_log.outbox import Outbox
from relevo_server.event_log.publication import STREAMS_TOGETHER
from relevo_server.event_log.subscriptions import SubscribeArgs
from relevo_server.keys import Key
from relevo_server.settings import Settings
from relevo_server.storage.events import Event, Tail
from relevo_server.storage.interface import Read, Stored, Write
from relevo_server.telemetry.counts import Counts
from relevo_server.wire.entries import Entries
from support.counted import calls_of
from support.servers.storages import GatedStorage
from support.waiting import until_async

PARTITION = 7
ROOM = 1 << 20
KEY = Key("conversation", "acme", "c1")
CONTEXT = ExecutionContext(user_id="u").SerializeToString()


def stored(version: int) -> Stored:
    """An entry of this version."""
    return Stored(version, version, 60_000, CONTEXT)


class Recorded(Outbox):
    """An outbox that keeps the messages that were put."""

    def __init__(self) -> None:
        super().__init__(ROOM)
        self.messages: list[Message] = []

    def put(self, message: Message) -> None:
        """Put a message, and keep it."""
        self.messages.append(message)
        super().put(message)

    @property
    def revisions(self) -> list[int]:
        """The revisions of the entries and ends, and then that of the progress that waits."""
        events = [WatchResponse.FromString(each.body) for each in self.messages]
        told = [each.entry.version or each.invalidated.revision for each in events]
        sent = [WatchResponse.FromString(each) for each in iter(self.next, None)]
        positions = [p for each in sent for p in (*each.positions, *each.progress.positions)]
        return told + [each.revision for each in positions]


class Stage:
    """A fan-out at revision 1. All its subscriptions have been answered, and the answers read."""

    def __init__(self) -> None:
        self.fanout = Fanout(PARTITION, Entries(), max_push_bytes=ROOM)
        self.fanout.position = 1

    def stream(self, *keys: Key) -> Recorded:
        """Another stream that subscribes to keys."""
        outbox = Recorded()
        for key in keys:
            self.subscribe(outbox, key)
        while outbox.next():
            pass
        outbox.messages.clear()
        return outbox

    def subscribe(self, outbox: Outbox, key: Key, revision: int = 1) -> None:
        """Subscribe, with an answer as of a revision."""
        subscription = self.fanout.subscribe(outbox, key)
        value = stored(revision) if revision > 1 else None
        assert self.fanout.answer(subscription, SubscribeArgs(1, 0, 0), value, revision)

    def publish(self, *events: Event) -> Iterator[None]:
        """The steps of publishing these events, with their values as of the last one."""
        puts = {event.key: stored(event.revision) for event in events if event.kind == "put"}
        values = {key: value for key, value in puts.items() if key}
        return self.fanout.publish(events, values, [], self.fanout.begin_poll())


def put(revision: int, key: Key = KEY) -> Event:
    """A Put."""
    return Event(revision, "put", key)


def floor(revision: int, tenant_id: str = "acme", scope: str = "") -> Event:
    """An Invalidate of a tenant or a scope."""
    return Event(revision, "floor", tenant_id=tenant_id, scope=scope)


def test_all_streams_share_a_message() -> None:
    """An event is serialized once, whatever the number of streams."""
    stage = Stage()
    streams = [stage.stream(KEY) for _ in range(100)]
    list(stage.publish(put(10)))
    (first,) = streams[0].messages
    assert all([message] == [first] for stream in streams for message in stream.messages)
    assert all(stream.messages[0] is first for stream in streams)


def test_a_value_in_many_queues() -> None:
    """A value that waits in many queues takes its memory once, and counts in full in each."""
    fanout = Fanout(PARTITION, Entries(), max_push_bytes=ROOM)
    fanout.position = 1
    outboxes = [Outbox(ROOM) for _ in range(500)]
    for outbox in outboxes:
        fanout.answer(fanout.subscribe(outbox, KEY), SubscribeArgs(1, 0, 0), None, 1)
        assert outbox.next()
    large = ExecutionContext(user_id="x" * 16_000).SerializeToString()
    values = {KEY: Stored(10, 10, 60_000, large)}
    tracemalloc.start()
    try:
        for _ in fanout.publish([put(10)], values, [10], fanout.begin_poll()):
            pass
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert all(outbox.size > len(large) for outbox in outboxes)
    assert taken < len(outboxes) * len(large) // 10


def test_a_step_tells_a_few_streams() -> None:
    """One step tells 16 streams of everything; then others have their turn."""
    stage = Stage()
    streams = [stage.stream(KEY) for _ in range(50)]
    told = [0]
    for _ in stage.publish(put(10), floor(11)):
        told.append(sum(bool(each.messages) for each in streams))
        assert stage.fanout.position == 1, "not all streams were told"
    assert told == [0, 16, 32, 48]
    assert stage.fanout.position == 11
    assert stage.fanout.messages == 100
    assert all(each.revisions == [10, 11, 11] for each in streams)


@pytest.mark.parametrize("streams", [1, 10])
def test_the_floor_of_many_keys(streams: int) -> None:
    """An Invalidate of a tenant with 100,000 watched keys is one message and a few function calls.

    So is one of a scope. Every later answer and event respects it.
    """
    stage = Stage()
    keys = [Key("conversation", "acme", f"c{i}") for i in range(100_000 // streams)]
    others = [key._replace(scope="agent_config") for key in keys[:10]]
    outboxes = [stage.stream() for _ in range(streams)]
    for outbox in outboxes:
        for key in (*keys, *others):
            stage.fanout.subscribe(outbox, key)
        stage.subscribe(outbox, keys[0])
        outbox.messages.clear()
    stage.subscribe(outboxes[0], others[0])
    for revision, scope in ((10, ""), (11, "conversation"), (12, "unknown")):
        calls = calls_of(lambda: list(stage.publish(floor(revision, scope=scope))))  # noqa: B023
        assert calls < 200 + 100 * streams
    assert [len(each.messages) for each in outboxes] == [3, *[2] * (streams - 1)]
    overtaken = stage.fanout.subscribe(outboxes[0], keys[1])
    assert not stage.fanout.answer(overtaken, SubscribeArgs(2, 0, 0), None, 10)
    assert stage.fanout.answer(overtaken, SubscribeArgs(2, 0, 0), None, 11)


def test_the_floor_of_many_streams() -> None:
    """It is told in bounded steps, too, in order with the events before and after it."""
    stage = Stage()
    keys = [Key("conversation", "acme", f"c{i}") for i in range(200)]
    streams = [stage.stream(key) for key in keys]
    other = stage.stream(KEY._replace(tenant_id="other"))
    events = [put(10, keys[150]), floor(11), put(12, keys[150])]
    steps = list(stage.publish(*events))
    assert len(steps) == 200 // STREAMS_TOGETHER
    assert streams[0].revisions == [11, 12]
    assert streams[150].revisions == [12, 11, 12]
    assert not other.messages


def test_who_is_told_between_two_steps() -> None:
    """Streams that subscribe, are answered, or end between two steps are told once or not at all.

    A subscription that has ended gets nothing that it did not get before.
    """
    stage = Stage()
    other = KEY._replace(id="c2")
    foreign = KEY._replace(tenant_id="other")
    streams = [stage.stream(KEY, other, foreign) for _ in range(2 * STREAMS_TOGETHER)]
    steps = stage.publish(put(10), floor(11))
    next(steps)
    told, waiting = streams[0], streams[STREAMS_TOGETHER:]
    gone, withdrawn, ended, fresh, overtaken, *rest = waiting
    assert told.messages
    assert not any(each.messages for each in waiting)
    stage.fanout.drop(gone)
    for key in (KEY, other):
        stage.fanout.unsubscribe(withdrawn, key)
    stage.fanout.unsubscribe(ended, KEY)
    stage.subscribe(fresh, KEY, revision=12)
    late = stage.fanout.subscribe(overtaken, KEY)
    assert not stage.fanout.answer(late, SubscribeArgs(2, 0, 0), None, 9), "it was overtaken"
    joined = Recorded()
    stage.subscribe(joined, KEY, revision=12)
    list(steps)
    assert not gone.messages
    assert not withdrawn.messages
    assert ended.revisions == [11, 11]
    assert fresh.revisions == [12, 11, 11]
    assert joined.revisions == [12, 11, 1, 11]
    assert all(each.revisions == [10, 11, 11] for each in (told, overtaken, *rest))


def test_a_ping_between_two_steps() -> None:
    """What a stream was told does not go back, if another poll reports less meanwhile."""
    stage = Stage()
    streams = [stage.stream(KEY) for _ in range(2 * STREAMS_TOGETHER)]
    for each in streams:
        each.ping = 3
    before = stage.fanout.begin_poll()
    steps = stage.publish(put(10))
    next(steps)
    stage.fanout.confirm(before)
    assert streams[0].revisions == [10, 10]
    assert streams[-1].revisions == [1]
    list(steps)
    assert streams[-1].revisions == [10, 10]


def test_streams_that_no_event_concerns() -> None:
    """Their pings are answered when all events are published (N2)."""
    stage = Stage()
    other = stage.stream(KEY._replace(id="c2"))
    stage.stream(KEY)
    other.ping = 5
    list(stage.publish(put(10)))
    (progress,) = [WatchResponse.FromString(each) for each in iter(other.next, None)]
    (position,) = progress.progress.positions
    assert (position.revision, position.ping) == (10, 5)


async def test_calls_take_turns_with_a_publication() -> None:
    """A follower tells 16 streams in one turn of the loop, and others have the turns between."""
    storage = GatedStorage()
    await storage.write(Write(KEY, CONTEXT, 60_000))
    copies = Copies(max_entries=1, max_bytes=1, max_staleness=1)
    partition, counts = storage.partition_of(KEY.tenant_id), Counts()
    turns = asyncio.Lock()
    follower = Follower(storage, partition, Entries(), copies, turns, Settings(), counts)
    streams = [Recorded() for _ in range(200)]
    try:
        for each in streams:
            follower.subscribe(each, KEY, SubscribeArgs(1, 0, 0))
        async with asyncio.timeout(10):
            await until_async(lambda: all(each.messages for each in streams))
            for each in streams:
                each.messages.clear()
            await storage.write(Write(KEY, CONTEXT, 60_000))
            most = told = 0
            while told < len(streams):
                await asyncio.sleep(0)
                before, told = told, sum(bool(each.messages) for each in streams)
                most = max(most, told - before)
            await until_async(lambda: counts.events == len(streams))
        assert most == STREAMS_TOGETHER
    finally:
        await follower.close()


def test_copies_that_a_floor_ends() -> None:
    """The server's copies of a tenant end with a few function calls, too, and are not served."""
    copies = Copies(max_entries=200_000, max_bytes=1 << 30, max_staleness=10)
    keys = [Key("conversation", "acme", f"c{i}") for i in range(20_000)]
    other = KEY._replace(tenant_id="other")
    copies.apply(PARTITION, Tail(5, []), 0)
    entries: Sequence[Stored | None] = [stored(3)] * len(keys)
    copies.keep(PARTITION, keys, Read(5, entries), 0)
    copies.keep(PARTITION, [other], Read(5, [stored(4)]), 0)
    calls = calls_of(lambda: copies.apply(PARTITION, Tail(6, [floor(6)]), 1))
    assert calls < 50
    assert copies.get(PARTITION, [other], 0, 1)
    assert not any(copies.get(PARTITION, [key], 0, 1) for key in keys)
    assert len(copies) == 1, "a copy that has ended stays"
    copies.keep(PARTITION, keys[:1], Read(6, [None]), 1)
    copies.apply(PARTITION, Tail(7, [floor(7, scope="conversation")]), 1)
    assert copies.get(PARTITION, keys[:1], 7, 1) == Read(7, [None])
