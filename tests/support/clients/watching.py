"""A Watch stream that is read message by message."""

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from typing import Any, Self

from relevo.v1.context_pb2 import ContextKey
from relevo.v1.store_pb2 import (
    Ping,
    Subscribe,
    Touch,
    Unsubscribe,
    WatchRequest,
    WatchResponse,
)

from support.clients.calls import Stub
from support.waiting import PATIENCE


class Watch:
    """One Watch stream, without batches. Use with `async with`."""

    def __init__(self, stub: Stub, metadata: tuple[tuple[str, str], ...] = ()) -> None:
        self._numbers = count(1)
        self._asked = asyncio.Queue[WatchRequest | None]()
        self._reached = self._ponged = 0
        self.call: Any = stub.Watch(self._requests(), metadata=metadata)

    async def __aenter__(self) -> Self:
        """Open the stream, without a request."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the stream."""
        self.call.cancel()

    def subscribe(self, key: ContextKey, *, known_version: int = 0, position: int = 0) -> int:
        """Subscribe to a key. Returns the number of the answer."""
        number = next(self._numbers)
        subscribe = Subscribe(
            key=key, known_version=known_version, position=position, number=number
        )
        self._asked.put_nowait(WatchRequest(subscribe=subscribe))
        return number

    def unsubscribe(self, key: ContextKey) -> None:
        """Unsubscribe from a key."""
        self._asked.put_nowait(WatchRequest(unsubscribe=Unsubscribe(key=key)))

    def touch(self, key: ContextKey) -> None:
        """Keep an entry alive."""
        self._asked.put_nowait(WatchRequest(touch=Touch(key=key)))

    def send(self, request: WatchRequest) -> None:
        """Send any request."""
        self._asked.put_nowait(request)

    def ping(self) -> int:
        """Send a ping, and return its number."""
        number = next(self._numbers)
        self._asked.put_nowait(WatchRequest(ping=Ping(number=number)))
        return number

    @property
    def reached(self) -> int:
        """The stream's greatest revision of all partitions."""
        return self._reached

    async def next(self) -> WatchResponse:
        """The next message of any kind."""
        message: WatchResponse = await asyncio.wait_for(self.call.read(), PATIENCE)
        for position in (*message.progress.positions, *message.positions):
            self._reached = max(self._reached, position.revision)
            self._ponged = max(self._ponged, position.ping)
        return message

    async def news(self) -> WatchResponse:
        """The next message that is not only progress."""
        while (message := await self.next()).WhichOneof("event") == "progress":
            pass
        return message

    async def answer(self, number: int) -> WatchResponse:
        """The answer with this number. Only progress may come before it."""
        message = await self.news()
        assert message.answers == number
        return message

    async def progress(self, revision: int) -> None:
        """Wait until the partition has reached this revision."""
        while self._reached < revision:
            message = await self.next()
            assert message.WhichOneof("event") == "progress", message

    async def pong(self, number: int) -> None:
        """Wait for the answer to this ping."""
        while self._ponged < number:
            message = await self.next()
            assert message.WhichOneof("event") == "progress", message

    async def _requests(self) -> AsyncIterator[WatchRequest]:
        while (request := await self._asked.get()) is not None:
            yield request
