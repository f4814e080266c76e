"""Followers of a log: partial reads, pings answered in time, and the end of a follower."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import pytest
from relevo.v1.context_pb2 import ContextKey as KeyMessage
from relevo.v1.context_pb2 import ExecutionContext
from relevo.v1.store_pb2 import (
    Invalidated,
    Position,
    Progress,
    ResetReason,
    TenantSelector,
    WatchResponse,
)
from relevo_client import CacheOptions, ContextKey
from relevo_client._near_cache.machine import NearCache
from relevo_server.event_log.answers import Answers
from relevo_server.event_log.clock import server_time
from relevo_server.event_log.copies import Copies
from relevo_server.event_log.fanout import Fanout
from relevo_server.event_log.follower import Follower
from relevo_server.event_log.outbox import Outbox
from relevo_server.event_log.subscriptions import SubscribeArgs
from relevo_server.keys import Key
from relevo_server.settings import Settings
from relevo_server.storage.events import Event, Gap, Tail
from relevo_server.storage.interface import Read, Stored
from relevo_server.telemetry.counts import Counts
from relevo_server.wire.entries import Entries
from relevo_server.wire.pushes import Place
from support.servers.storages import GatedStorage

KEY = Key("conversation", "acme", "c1")
OTHER = Key("conversation", "acme", "c2")
SIZE = 1000
NONE: Mapping[Key, Stored | None] = {}


def stored(version: int, size: int = SIZE) -> Stored:
    """An entry of this version."""
    return Stored(
        version, version, 60_000, ExecutionContext(user_id="x" * size).SerializeToString()
    )


class Stage:
    """A fan-out with one stream, whose two subscriptions have been answered."""

    def __init__(self, max_bytes: int, sign_interval: float | None = None) -> None:
        self.fanout = Fanout(7, Entries(), max_push_bytes=1 << 20)
        self.fanout.position = 1
        self.outbox = Outbox(max_bytes)
        self.outbox.sign_interval = sign_interval
        self.answers = Answers(self.fanout, asyncio.Event())
        for number, each in enumerate((KEY, OTHER), start=1):
            subscription = self.fanout.subscribe(self.outbox, each)
            self.fanout.requests.add(subscription, SubscribeArgs(number, 0, 0))
        self.answer({})
        assert [message.answers for message in self.read()] == [1, 2]

    def answer(self, entries: dict[Key, Stored], revision: int = 1) -> None:
        """Answer all subscriptions that have room."""
        while batch := self.answers.next():
            found = [entries.get(each) for each in batch.keys]
            self.answers.apply(batch, Read(revision, found))

    def put(self, key: Key, version: int, size: int = SIZE, **options: Any) -> None:
        """Write a value, and publish its event."""
        event, value = Event(version, "put", key), {key: stored(version, size)}
        self.publish(event, values=value, revisions=[version], **options)

    def publish(
        self,
        event: Event,
        values: Mapping[Key, Stored | None] = NONE,
        revisions: Sequence[int] = (),
        **options: Any,
    ) -> None:
        """Publish an event, with the values that were read after it."""
        poll = self.fanout.begin_poll()
        for _ in self.fanout.publish([event], values, revisions, poll, **options):
            pass

    def read(self) -> list[WatchResponse]:
        """The messages to send now, but those with progress only, as the client receives them."""
        messages = map(WatchResponse.FromString, iter(self.outbox.next, None))
        return [message for message in messages if not message.HasField("progress")]


def test_pings_are_answered_when_all_is_told() -> None:
    """No ping is answered before the whole log has been published: a copy may be older (N2)."""
    stage = Stage(1 << 20)
    stage.outbox.ping = 5
    stage.put(KEY, 10, is_complete=False)
    (position,) = stage.read()[-1].positions
    assert (position.revision, position.ping) == (10, 0)
    stage.put(OTHER, 11)
    (position,) = stage.read()[-1].positions
    assert (position.revision, position.ping) == (11, 5)


def test_a_ping_is_answered_once() -> None:
    """Polls pass over a stream whose ping is answered, and events of other keys do: it costs none.

    A stream that pings would otherwise cost each write of its tenant, whatever it watches.
    """
    stage = Stage(1 << 20)
    fanout, outbox = stage.fanout, stage.outbox
    outbox.ping = 4
    fanout.confirm(fanout.begin_poll())  # its first proof
    outbox.ping = 5
    assert fanout.begin_poll().pings == {outbox: 5}
    stage.publish(Event(10, "put", Key("conversation", "acme", "unwatched")))
    outbox.flush()
    assert "ping: 5" in str(WatchResponse.FromString(outbox.next() or b""))
    assert fanout.begin_poll().pings == {}
    stage.publish(Event(11, "put", Key("conversation", "acme", "unwatched")))
    fanout.confirm(fanout.begin_poll())
    outbox.flush()
    assert outbox.next() is None
    outbox.ping = 6
    assert fanout.begin_poll().pings == {outbox: 6}


@pytest.mark.parametrize("kind", ["reset", "overflow"])
def test_an_answer_to_a_ping_that_a_reset_took(kind: str) -> None:
    """It is given again: a client sends no further ping before it has its answer."""
    stage = Stage(4 * SIZE)
    fanout, outbox = stage.fanout, stage.outbox
    outbox.ping = 5
    fanout.confirm(fanout.begin_poll())
    assert fanout.begin_poll().pings == {}
    if kind == "reset":
        fanout.reset(20, Gap.TRIMMED)
    else:
        outbox.supersede(100 * SIZE)
    assert fanout.begin_poll().pings == {outbox: 5}


def test_a_stream_that_has_never_pinged_is_owed_no_answer() -> None:
    """Polls pass over it, after a reset too."""
    stage = Stage(1 << 20)
    assert stage.fanout.begin_poll().pings == {}
    stage.fanout.reset(20, Gap.TRIMMED)
    assert stage.fanout.begin_poll().pings == {}


def test_a_sign_is_as_of_a_poll_that_reached_the_end() -> None:
    """A partition's sign names the start of the last poll whose events are all published (N2)."""
    fanout = Stage(1 << 20).fanout
    poll = fanout.begin_poll(5)
    assert fanout.sign == Place(7, revision=1)
    for _ in fanout.publish([Event(10, "put", KEY)], {}, [], poll, is_complete=False):
        pass
    assert fanout.sign == Place(7, revision=10)
    for _ in fanout.publish([Event(11, "put", KEY)], {}, [], poll):
        pass
    assert fanout.sign == Place(7, revision=11, time=5)
    fanout.confirm(fanout.begin_poll(6))
    fanout.confirm(poll)  # that began earlier, and ended later
    assert fanout.sign == Place(7, revision=11, time=6)


def test_a_read_proves_what_a_poll_does() -> None:
    """A read is a proof if the log had nothing later, and can have lost nothing (N2, S3)."""
    fanout = Stage(1 << 20).fanout
    fanout.confirm(fanout.begin_poll(4))  # the log has shown all that was seen
    fanout.confirm_read(fanout.begin_poll(5), 1)
    assert fanout.sign == Place(7, revision=1, time=5)
    fanout.confirm_read(fanout.begin_poll(6), 2)  # the log has an event that is not published
    assert fanout.sign == Place(7, revision=1, time=5)
    fanout.record_read(2)
    fanout.confirm_read(fanout.begin_poll(7), 1)  # the log may have lost what was read before
    assert fanout.sign == Place(7, revision=1, time=5)


def test_a_first_answer_is_its_own_proof() -> None:
    """The read that answers a new stream proves the answer too: the log is not polled for it."""
    stage = Stage(1 << 20, sign_interval=60.0)
    outbox = Outbox(1 << 20)
    outbox.sign_interval = 60.0
    outbox.pong(1, time=4)
    subscription = stage.fanout.subscribe(outbox, KEY)
    stage.fanout.requests.add(subscription, SubscribeArgs(2, 0, 0))
    batch = stage.answers.next(5)
    assert batch
    for part, read in [*stage.answers.steps(batch, Read(1, [None]))]:
        stage.answers.apply(part, read)
    assert not stage.fanout.report_first(), "it waits for a poll"
    first = WatchResponse.FromString(outbox.next() or b"")
    assert (first.clock.time, first.answers) == (4, 2)
    assert list(first.positions) == [Position(partition=7, revision=1, time=5)]
    assert outbox.next() is None


def test_a_poll_concerns_no_stream_with_signs() -> None:
    """A stream gets signs when it is due, and polls tell it nothing but its first proof."""
    stage = Stage(1 << 20, sign_interval=1.0)
    stage.outbox.pong(1, time=4)
    stage.fanout.expect(stage.outbox)
    assert WatchResponse.FromString(stage.outbox.next() or b"").clock.time == 4
    stage.fanout.confirm(stage.fanout.begin_poll(3))
    assert stage.outbox.next() is None, "not as of a moment after its ping"
    for time in range(5, 20):
        stage.fanout.confirm(stage.fanout.begin_poll(time))
    first = WatchResponse.FromString(stage.outbox.next() or b"")
    assert first.progress.positions == [Position(partition=7, revision=1, time=5)]
    assert stage.outbox.next() is None
    stage.outbox.sign([stage.fanout.sign])
    sign = WatchResponse.FromString(stage.outbox.next() or b"")
    assert sign.progress.positions == [Position(partition=7, revision=1, time=19)]
    stage.outbox.sign([stage.fanout.sign])
    assert stage.outbox.next() is None, "it says nothing new"


def test_a_sign_waits_behind_events() -> None:
    """A sign has its place in the queue: it neither overtakes events nor waits for later ones."""
    stage = Stage(1 << 20, sign_interval=1.0)
    stage.put(KEY, 10)
    stage.outbox.sign([Place(7, revision=10, time=5)])
    stage.put(OTHER, 11)
    first, sign, last = map(WatchResponse.FromString, iter(stage.outbox.next, None))
    assert (first.entry.version, list(first.positions)) == (10, [])
    assert [each.time for each in sign.progress.positions] == [5]
    assert (last.entry.version, last.positions[0].revision) == (11, 11)


def test_a_position_is_told_once() -> None:
    """Answers as of one position announce it once, and again after the order was lost."""
    stage = Stage(1 << 20)
    for number in range(3, 20):
        subscription = stage.fanout.subscribe(stage.outbox, KEY)
        stage.fanout.requests.add(subscription, SubscribeArgs(number, 0, 0))
        stage.answer({KEY: stored(1)})
    sent = [WatchResponse.FromString(each) for each in iter(stage.outbox.next, None)]
    assert [message.answers for message in sent] == list(range(3, 20))
    assert not any(message.positions for message in sent)
    stage.fanout.reset(1, Gap.CHANGED)
    stage.fanout.requests.add(stage.fanout.subscribe(stage.outbox, KEY), SubscribeArgs(20, 0, 0))
    stage.answer({KEY: stored(1)})
    *_, answer = stage.read()
    assert (answer.answers, [each.revision for each in answer.positions]) == (20, [1])


def test_a_value_follows_when_there_is_room() -> None:
    """A change without room is published at once, and only the newest value follows later."""
    stage = Stage(3 * SIZE)
    stage.put(OTHER, 9)
    for version in (10, 11, 12):
        stage.put(KEY, version)
    first, changed = stage.read()
    assert first.entry.version == 9
    assert changed.invalidated.is_changed
    assert changed.invalidated.revision == 9
    stage.answer({KEY: stored(12)}, revision=12)
    (value,) = stage.read()
    assert (value.entry.version, value.answers) == (12, 0)
    stage.put(KEY, 13)
    (value,) = stage.read()
    assert value.entry.version == 13


@pytest.mark.parametrize(
    "event", [Event(12, "invalidate", KEY), Event(12, "floor", tenant_id=KEY.tenant_id)]
)
def test_what_ends_before_its_value_follows(event: Event) -> None:
    """If an entry ends before its value follows, its end is published, and no value follows.

    It may end with its tenant.
    """
    stage = Stage(3 * SIZE)
    stage.put(OTHER, 9)
    stage.put(KEY, 10)
    _, changed = stage.read()
    assert changed.invalidated.is_changed
    stage.publish(event)
    (ended,) = stage.read()
    assert (ended.invalidated.revision, ended.invalidated.is_changed) == (12, False)
    stage.answer({}, revision=12)
    assert not stage.read()
    stage.put(KEY, 13)
    (value,) = stage.read()
    assert value.entry.version == 13


def test_who_subscribes_while_values_are_read() -> None:
    """An event without its value is published as a change whose value follows, not as an end."""
    stage = Stage(1 << 20)
    stage.publish(Event(10, "put", KEY))
    (changed,) = stage.read()
    assert changed.invalidated.is_changed
    stage.answer({KEY: stored(10)}, revision=10)
    (value,) = stage.read()
    assert value.entry.version == 10


def test_a_slow_watcher_is_reset_and_left_alone() -> None:
    """A watcher that reads nothing while values are superseded is reset once (N5).

    It gets nothing more until it subscribes again.
    """
    stage = Stage(3 * SIZE)
    for version in range(10, 100):
        stage.put(KEY, version)
    resets = [message.reset.reason for message in stage.read() if message.HasField("reset")]
    assert resets == [ResetReason.RESET_REASON_SLOW_WATCHER]
    stage.answer({KEY: stored(99)}, revision=99)
    assert not stage.read()
    subscription = stage.fanout.subscribe(stage.outbox, KEY)
    stage.fanout.requests.add(subscription, SubscribeArgs(3, 0, 0))
    stage.answer({KEY: stored(99)}, revision=99)
    (answer,) = stage.read()
    stage.put(KEY, 100)
    (value,) = stage.read()
    assert (answer.entry.version, answer.answers, value.entry.version) == (99, 3, 100)


def test_ends_that_nobody_takes_are_bounded() -> None:
    """A watcher that takes no news is reset once they have no room, and none is skipped (N5)."""
    stage = Stage(3 * SIZE)
    keys = [KEY._replace(id=f"k{number}") for number in range(100)]
    for number, key in enumerate(keys, start=3):
        subscription = stage.fanout.subscribe(stage.outbox, key)
        stage.fanout.requests.add(subscription, SubscribeArgs(number, 0, 0))
    answered = 0
    while answered < len(keys):  # as many as have room
        stage.answer({})
        answered += len(stage.read())
    for version, key in enumerate(keys, start=10):
        stage.publish(Event(version, "invalidate", key))
        if stage.outbox.resets:
            break
    *skipped, last = stage.read()
    assert not skipped
    assert last.reset.reason == ResetReason.RESET_REASON_SLOW_WATCHER


def test_a_watcher_that_takes_something_is_not_reset() -> None:
    """A watcher that reads is not reset, however many values are superseded."""
    stage = Stage(3 * SIZE)
    for version in range(10, 200):
        stage.put(KEY, version)
        if version % 2:
            taken = stage.outbox.next()
            assert taken
            assert not WatchResponse.FromString(taken).HasField("reset")


def test_an_answer_that_was_overtaken() -> None:
    """What was read before an event about the key is not told after it: it is read again (N3)."""
    stage = Stage(1 << 20)
    new = KEY._replace(id="c3")
    stage.fanout.requests.add(stage.fanout.subscribe(stage.outbox, new), SubscribeArgs(3, 0, 0))
    batch = stage.answers.next()
    assert batch
    stage.put(new, 10)
    stage.answers.apply(batch, Read(1, [None]))
    assert not stage.read()
    stage.answer({new: stored(10)}, revision=10)
    (answer,) = stage.read()
    assert (answer.answers, answer.entry.version) == (3, 10)


def test_room_is_given_back() -> None:
    """The room of a read that failed, or whose stream has ended, becomes free for the next one."""
    stage = Stage(2 * SIZE)
    subscription = stage.fanout.subscribe(stage.outbox, KEY)
    for number in range(3, 30):
        stage.fanout.requests.add(subscription, SubscribeArgs(number, 0, 0))
        look = stage.answers.next()
        assert look
        left_out = stored(10)._replace(context=None, left_out=SIZE)
        stage.answers.apply(look, Read(10, [left_out]))
        batch = stage.answers.next()
        assert batch
        stage.answers.give_up(batch)
    stage.answer({KEY: stored(10)}, revision=10)
    assert [message.answers for message in stage.read()] == [29]


class Stubborn(GatedStorage):
    """A backend whose reads of the log end late if they are cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self.is_looking = asyncio.Event()
        self.ends = asyncio.Event()

    async def tail(
        self, partition: int, position: int | None, limit: int, *, seen: Sequence[int] = ()
    ) -> Tail:
        """Wait until the test allows the end."""
        del partition, position, limit, seen
        self.is_looking.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await self.ends.wait()
        raise asyncio.CancelledError


@pytest.fixture
def follow() -> Callable[[GatedStorage], Follower]:
    """Makes a follower of a backend's partition."""
    copies = Copies(max_entries=1, max_bytes=1, max_staleness=1)
    return lambda storage: Follower(
        storage, 0, Entries(), copies, asyncio.Lock(), Settings(), Counts()
    )


async def test_who_waits_for_the_end_can_be_cancelled(
    follow: Callable[[GatedStorage], Follower],
) -> None:
    """A caller that waits in `close` can be cancelled, although `close` cancels tasks itself."""
    storage = Stubborn()
    follower = follow(storage)
    await storage.is_looking.wait()
    closing = asyncio.create_task(follower.close())
    await asyncio.sleep(0)
    closing.cancel()
    storage.ends.set()
    with pytest.raises(asyncio.CancelledError):
        await closing
    await follower.close()


class Silent(GatedStorage):
    """A storage that never says that there may be something new in a log."""

    async def wait(self, partition: int, position: int, seconds: float) -> None:
        """Wait for ever."""
        del partition, position, seconds
        await asyncio.Event().wait()


async def test_a_first_sign_is_not_waited_for(follow: Callable[[GatedStorage], Follower]) -> None:
    """A new stream, and one that goes on after a pause, lets the log be polled at once."""
    follower = follow(Silent())
    outbox = Outbox(1 << 20)
    outbox.sign_interval = 60.0
    outbox.pong(1, server_time())
    follower.subscribe(outbox, KEY, SubscribeArgs(1, 0, 0))
    for number in (2, 3, 4):
        sent: list[Position] = []
        while not any(position.time >= outbox.pinged for position in sent):
            message = WatchResponse.FromString(await outbox.take(within=10) or b"")
            assert message.ByteSize(), "no sign"
            sent += [*message.progress.positions, *message.positions]
        outbox.pong(number, server_time())
        follower.expect(outbox, at_once=True)
    await follower.close()


def test_a_tenant_ends_before_a_change_whose_value_follows() -> None:
    """An entry whose value follows is not absent if its tenant ended before the change (N7)."""
    cache = NearCache(CacheOptions(max_staleness=2.0))
    cache.opened(0.0)
    cache.lookup(ContextKey(*KEY), 0, 0.0)
    key = KeyMessage(scope=KEY.scope, tenant_id=KEY.tenant_id, id=KEY.id)
    tenant = TenantSelector(tenant_id=KEY.tenant_id)
    requests = cache.requests()
    number = max(each.subscribe.number for each in requests)
    ping = max(each.ping.number for each in requests)
    position = Position(partition=7, revision=12, ping=ping)
    for message in (
        WatchResponse(invalidated=Invalidated(key=key, revision=5, partition=7), answers=number),
        # The value that was read for an event is newer than the event that follows it.
        WatchResponse(invalidated=Invalidated(key=key, revision=11, partition=7, is_changed=True)),
        WatchResponse(invalidated=Invalidated(tenant=tenant, revision=10, partition=7)),
        WatchResponse(progress=Progress(positions=[position])),
    ):
        cache.received(message)
    assert cache.lookup(ContextKey(*KEY), 0, 0.1) is None
