"""Watch streams of a client whose channel may be replaced.

The stream of a former channel ends with its next message, without an error. So the near cache opens
another one, on the new channel, and goes on from its position. Servers send signs of life, so a
message comes within seconds.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

IsOutdated = Callable[[], bool]
"""Returns whether the client has another channel by now."""


class AsyncStream:
    """gRPC's asyncio `call` of a Watch, as the near cache uses it."""

    def __init__(self, call: Any, is_outdated: IsOutdated) -> None:
        self._call = call
        self._is_outdated = is_outdated
        self.ended = asyncio.Event()
        """Set at the end: the near cache cancels every stream that it no longer needs."""

    async def __aiter__(self) -> AsyncIterator[Any]:
        """The messages."""
        async for message in self._call:
            yield message
            if self._is_outdated():
                return

    def write(self, request: Any) -> Awaitable[None]:
        """Send a request."""
        sent: Awaitable[None] = self._call.write(request)
        return sent

    def done(self) -> bool:
        """Whether the call has ended."""
        return bool(self._call.done())

    def wait_for_connection(self) -> Awaitable[None]:
        """Wait until the call has begun. Raises its error if it has ended."""
        connected: Awaitable[None] = self._call.wait_for_connection()
        return connected

    def cancel(self) -> None:
        """End the call."""
        self._call.cancel()
        self.ended.set()


class Stream:
    """gRPC's blocking `call` of a Watch, as the near cache uses it."""

    def __init__(self, call: Any, is_outdated: IsOutdated) -> None:
        self._call = call
        self._is_outdated = is_outdated
        self.ended = threading.Event()
        """Set at the end: the near cache cancels every stream that it no longer needs."""

    def __iter__(self) -> Iterator[Any]:
        """The messages."""
        for message in self._call:
            yield message
            if self._is_outdated():
                return

    def cancel(self) -> None:
        """End the call."""
        self._call.cancel()
        self.ended.set()
