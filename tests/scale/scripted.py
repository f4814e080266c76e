"""A ContextStore that the test plays: it reads requests with the real protobuf library."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import grpc
from grpc import aio
from relevo.v1.context_pb2 import ContextEntry, ContextKey
from relevo.v1.store_pb2 import (
    Position,
    Progress,
    PutRequest,
    PutResponse,
    WatchRequest,
    WatchResponse,
)
from support.waiting import until_async

from benchmarks.peers.fields import field, varint

PARTITION = 7


class Stream:
    """A Watch stream, as its server sees it."""

    def __init__(self) -> None:
        self.requests: list[WatchRequest] = []
        self._answers: asyncio.Queue[WatchResponse | None] = asyncio.Queue()

    @property
    def pings(self) -> list[int]:
        """The numbers of the pings that have come."""
        return [each.ping.number for each in self.requests if each.HasField("ping")]

    @property
    def subscribes(self) -> list[Any]:
        """The Subscribes that have come."""
        return [each.subscribe for each in self.requests if each.HasField("subscribe")]

    def send(self, *responses: WatchResponse) -> None:
        """Send messages."""
        for response in responses:
            self._answers.put_nowait(response)

    def end(self) -> None:
        """End the stream with OK."""
        self._answers.put_nowait(None)

    async def subscribed(self, times: int = 1) -> Any:
        """The last of so many Subscribes, once it has come."""
        await until_async(lambda: len(self.subscribes) >= times, within=60)
        return self.subscribes[times - 1]

    async def make_current(self, version: int) -> None:
        """Answer the first Subscribe and the pings so far."""
        subscribe = await self.subscribed()
        self.send(entry(subscribe.key, version, answers=subscribe.number), pong(self.pings[-1]))

    async def serve(self, requests: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Read the requests, and send what the test sends."""
        reading = asyncio.create_task(self._read(requests))
        try:
            while (response := await self._answers.get()) is not None:
                yield response.SerializeToString()
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _read(self, requests: AsyncIterator[bytes]) -> None:
        async for request in requests:
            self.requests.append(WatchRequest.FromString(request))


class ScriptedStore:
    """The streams that were opened, the oldest first, and the Puts."""

    def __init__(self) -> None:
        self.address = ""
        self.streams: list[Stream] = []
        self.puts: list[PutRequest] = []
        self.revision = 100
        """The revision of the last Put."""
        self.told: WatchResponse | None = None
        """What every stream is sent before a Put is answered."""

    async def stream(self, number: int) -> Stream:
        """The stream that was opened as the one with this number from 0 on, once it is."""
        await until_async(lambda: len(self.streams) > number, within=60)
        return self.streams[number]

    async def watch(self, requests: AsyncIterator[bytes], _: Any) -> AsyncIterator[bytes]:
        """Handle a Watch."""
        stream = Stream()
        self.streams.append(stream)
        async for response in stream.serve(requests):
            yield response

    async def put(self, request: bytes, context: Any) -> bytes:
        """Handle a Put: each has the next revision. A Put without a context fails."""
        self.puts.append(PutRequest.FromString(request))
        if not self.puts[-1].HasField("context"):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no context")
        self.revision += 1
        if self.told:
            for stream in self.streams:
                stream.send(self.told)
        return PutResponse(revision=self.revision).SerializeToString()


@asynccontextmanager
async def scripted_store() -> AsyncGenerator[ScriptedStore, None]:
    """Run such a store on a free port."""
    store = ScriptedStore()
    server = aio.server()
    methods: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "Watch": grpc.stream_stream_rpc_method_handler(store.watch),
        "Put": grpc.unary_unary_rpc_method_handler(store.put),
    }
    handler = grpc.method_handlers_generic_handler("relevo.v1.ContextStore", methods)
    server.add_generic_rpc_handlers((handler,))
    store.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield store
    finally:
        await server.stop(None)


def entry(key: ContextKey, version: int, *, answers: int = 0, size: int = 0) -> WatchResponse:
    """A value of a key, whose context has a text of this size."""
    message = ContextEntry(key=key, version=version, partition=PARTITION)
    message.context.user_id = "u" * size
    return WatchResponse(entry=message, answers=answers)


def pong(ping: int, revision: int = 100) -> WatchResponse:
    """Progress that answers a ping."""
    position = Position(partition=PARTITION, revision=revision, ping=ping)
    return WatchResponse(progress=Progress(positions=[position]))


def clock(ping: int, moment: int) -> WatchResponse:
    """The server's clock in microseconds, as the answer to a ping."""
    return _with_unknown(WatchResponse(), 9, _number(1, ping) + _number(2, moment))


def sign(moment: int) -> WatchResponse:
    """A sign of life as of a moment of the server's clock."""
    position = Position(partition=PARTITION, revision=100).SerializeToString() + _number(4, moment)
    return WatchResponse.FromString(field(3, field(1, position)))


def _with_unknown(message: WatchResponse, number: int, data: bytes) -> WatchResponse:
    """A message with a field that this contract may not know yet."""
    return WatchResponse.FromString(message.SerializeToString() + field(number, data))


def _number(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def unknown_fields(messages: Iterable[Any]) -> list[bytes]:
    """The messages that have fields which the contract does not know."""
    found: list[bytes] = []
    for message in messages:
        serialized = message.SerializeToString()
        message.DiscardUnknownFields()
        if message.SerializeToString() != serialized:
            found.append(serialized)
    return found
