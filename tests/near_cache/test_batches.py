"""Batches: messages that wait together are sent as one, to the watchers that accept it."""

from collections.abc import AsyncIterable, AsyncIterator, Sequence
from itertools import accumulate, pairwise

import grpc
import pytest
from grpc import StatusCode, aio
from hypothesis import given
from hypothesis import strategies as st
from relevo.v1.context_pb2 import ContextEntry, ExecutionContext
from relevo.v1.store_pb2 import (
    Batch,
    Invalidated,
    Ping,
    RequestBatch,
    Subscribe,
    WatchRequest,
    WatchResponse,
)
from relevo_client import CacheOptions, ContextKey
from relevo_server.event_log.messages import Message
from relevo_server.event_log.outbox import BATCH_BYTES, BATCH_MESSAGES, Outbox
from relevo_server.service.store import SERVICE
from support.clients.calls import Stub, key, put
from support.clients.either import opened
from support.clients.watching import Watch
from support.contexts import of_size
from support.failures import failure_of
from support.servers.shapes import Kind

Messages = AsyncIterator[WatchResponse]

ROOM = 1 << 30
KEYS = [ContextKey("conversation", "acme", f"c{i}") for i in range(100)]


def value(version: int, size: int) -> WatchResponse:
    """An entry with a context of this size."""
    context = ExecutionContext(user_id="x" * size)
    return WatchResponse(entry=ContextEntry(version=version, context=context))


def subscribes() -> list[WatchRequest]:
    """A Subscribe for each key."""
    numbered = enumerate(KEYS, start=1)
    return [WatchRequest(subscribe=Subscribe(key=k.to_message(), number=n)) for n, k in numbered]


def batch_of(requests: Sequence[WatchRequest]) -> WatchRequest:
    """One request with all of these."""
    return WatchRequest(batch=RequestBatch(requests=requests))


def opened_up(message: WatchResponse) -> Sequence[WatchResponse]:
    """The messages of a batch, or the message itself."""
    return message.batch.messages if message.HasField("batch") else [message]


def test_what_waits_is_one_message() -> None:
    """Values, news and progress are joined in their order, as protobuf itself writes a batch."""
    outbox = Outbox(ROOM)
    outbox.accepts_batches = True
    ended = WatchResponse(invalidated=Invalidated(key=key(), revision=5, partition=1))
    outbox.put(Message.of(value(4, 300), is_value=True))
    outbox.progress(1, 4, 0, soon=True)
    outbox.put(Message.of(ended))
    outbox.put(Message.of(value(6, 10), is_value=True))
    outbox.progress(1, 6, 2, soon=True)
    first, middle, last = value(4, 300), WatchResponse(), value(6, 10)
    middle.progress.positions.add(partition=1, revision=4)
    last.positions.add(partition=1, revision=6, ping=2)
    expected = WatchResponse(accepts_batches=True)
    expected.batch.messages.extend([first, middle, ended, last])
    assert outbox.next() == expected.SerializeToString()
    assert outbox.next() is None


def test_one_message_alone_is_no_batch() -> None:
    """A message that waits alone is sent as it is."""
    outbox = Outbox(ROOM)
    outbox.accepts_batches = True
    for _ in range(2):
        outbox.put(Message.of(value(4, 10), is_value=True))
        alone = WatchResponse.FromString(outbox.next() or b"")
        alone.ClearField("accepts_batches")
        assert alone == value(4, 10)


SIZES = st.sampled_from([10, 100, 3000, 30_000, BATCH_BYTES, 100_000])


@given(st.lists(st.tuples(SIZES, st.integers(1, 2 * BATCH_MESSAGES)), max_size=4))
def test_a_batch_is_bounded(runs: Sequence[tuple[int, int]]) -> None:
    """A batch has at most 64 KiB and 32 messages; a larger message comes alone, none is lost."""
    outbox = Outbox(ROOM)
    outbox.accepts_batches = True
    messages = [value(i + 1, size) for size, number in runs for i in range(number)]
    for message in messages:
        outbox.put(Message.of(message, is_value=True))
    received = [WatchResponse.FromString(each) for each in iter(outbox.next, None)]
    accepts = [each.accepts_batches for each in received]
    assert accepts == [i == 0 for i in range(len(received))], "the first message says it, once"
    for each in received:
        each.ClearField("accepts_batches")
    sent = list(map(opened_up, received))
    assert [message for batch in sent for message in batch] == messages
    bytes_of = [[message.ByteSize() for message in batch] for batch in sent]
    for this in bytes_of:
        assert len(this) <= BATCH_MESSAGES
        assert sum(this) <= BATCH_BYTES or len(this) == 1
    for this, (first, *_) in pairwise(bytes_of):
        is_full = len(this) == BATCH_MESSAGES or sum(this) + first > BATCH_BYTES
        assert is_full, "two batches could have been one"
    assert outbox.has_room(ROOM), "room was not given back"


async def test_a_watcher_that_accepts_batches(stub: Stub) -> None:
    """Answers and pushes that wait together come as batches, each once and in order."""
    versions = [(await put(stub, each.to_message(), of_size(1000))).revision for each in KEYS]
    async with Watch(stub) as watch:
        watch.send(WatchRequest(ping=Ping(number=1), accepts_batches=True))
        watch.send(batch_of(subscribes()))
        received: list[WatchResponse] = []
        values: list[WatchResponse] = []
        while len(values) < len(KEYS):
            received.append(await watch.next())
            values += [each for each in opened_up(received[-1]) if each.HasField("entry")]
    assert [each.answers for each in values] == list(range(1, len(KEYS) + 1))
    assert [each.entry.version for each in values] == versions
    assert len(received) < len(KEYS) / 2
    assert [each.accepts_batches for each in received] == [True, *[False] * (len(received) - 1)]
    positions = [p.revision for r in received for m in opened_up(r) for p in m.positions]
    assert positions == list(accumulate(positions, max)), "a position went back"


async def test_a_watcher_that_says_nothing(stub: Stub, watch: Watch) -> None:
    """Clients that do not accept batches get messages one by one."""
    for each in KEYS:
        await put(stub, each.to_message())
    for number in [watch.subscribe(each.to_message()) for each in KEYS]:
        message = await watch.answer(number)
        assert message.HasField("entry")
        assert not message.accepts_batches


@pytest.mark.parametrize(
    "requests",
    [[], [batch_of([])], subscribes() * 2],
    ids=["empty", "a batch", "too many"],
)
async def test_a_malformed_batch(watch: Watch, requests: Sequence[WatchRequest]) -> None:
    """A batch has 1 to 100 requests and no batch; else the stream ends with INVALID_ARGUMENT."""
    watch.send(batch_of(requests))
    failure = await failure_of(watch.news())
    assert failure.code is StatusCode.INVALID_ARGUMENT
    assert [path for path, _ in failure.violations] == ["batch.requests"]


async def test_a_batch_is_checked_request_by_request(watch: Watch) -> None:
    """A malformed request in a batch ends the stream, as it would alone."""
    watch.send(batch_of([*subscribes()[:3], WatchRequest(subscribe=Subscribe(number=-1))]))
    failure = await failure_of(watch.answer(9))
    assert failure.code is StatusCode.INVALID_ARGUMENT
    assert "subscribe.number" in [path for path, _ in failure.violations]


class Store:
    """A store that answers the first subscriptions of a stream in one batch.

    It says with its first message whether it accepts batches too.
    """

    def __init__(self, *, accepts_batches: bool) -> None:
        self.received: list[WatchRequest] = []
        self._accepts_batches = accepts_batches

    async def _requests(self, sent: AsyncIterable[WatchRequest]) -> AsyncIterator[WatchRequest]:
        async for request in sent:
            self.received.append(request)
            for each in request.batch.requests if request.HasField("batch") else [request]:
                yield each

    async def watch(self, sent: AsyncIterable[WatchRequest], _: object) -> Messages:
        """Answer once all keys are subscribed to."""
        messages: list[WatchResponse] = []
        yield WatchResponse(accepts_batches=self._accepts_batches)
        async for request in self._requests(sent):
            message = WatchResponse()
            if request.HasField("subscribe"):
                message = value(9, 10)
                message.answers = request.subscribe.number
                message.entry.key.CopyFrom(request.subscribe.key)
                message.entry.ttl.seconds = 60
            message.positions.add(revision=9, ping=request.ping.number)
            messages.append(message)
            if len(messages) > len(KEYS):
                yield WatchResponse(batch=Batch(messages=messages))
                messages = []


@pytest.mark.parametrize("accepts_batches", [False, True])
async def test_a_client(kind: Kind, *, accepts_batches: bool) -> None:
    """A client accepts batches, says so first, and caches every entry of one.

    It sends batches only if the store says that it accepts them.
    """
    store, server = Store(accepts_batches=accepts_batches), aio.server()
    handler: grpc.RpcMethodHandler[WatchRequest, WatchResponse]
    handler = grpc.stream_stream_rpc_method_handler(
        store.watch, WatchRequest.FromString, WatchResponse.SerializeToString
    )
    server.add_registered_method_handlers(SERVICE, {"Watch": handler})
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with opened(kind, f"127.0.0.1:{port}", cache=CacheOptions()) as client:
            assert not any(map(client.peek, KEYS))
            for each in KEYS:
                assert (await client.local(each)).version == 9
    finally:
        await server.stop(None)
    first, *others = [request.accepts_batches for request in store.received]
    assert first
    assert not any(others)
    assert any(request.HasField("batch") for request in store.received) is accepts_batches
