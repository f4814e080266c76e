"""Server-sent events: responses that stay open, and end when the server does.

A page has one stream: browsers open at most six connections to an HTTP/1.1 host. When a stream
breaks, the browser opens it again; its first events have to be the whole state, not a difference.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from starlette.responses import StreamingResponse

HEARTBEAT = 15.0
"""Seconds of silence after which a comment is sent, so that proxies keep the stream open."""
_RETRY = 1000
"""Milliseconds after which a browser opens a broken stream again."""
_LINE_ENDS = re.compile(r"\r\n|\r|\n")
_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


@dataclass(frozen=True)
class Event:
    """An event: `name` is what a page's `sse-swap` names, `data` is HTML or JSON."""

    name: str
    data: str

    def encoded(self) -> str:
        """The event as it is sent: each line of the data is a field."""
        lines = "".join(f"data: {line}\n" for line in _LINE_ENDS.split(self.data))
        return f"event: {self.name}\n{lines}\n"


class Streams:
    """The open streams of an application."""

    def __init__(self, *, heartbeat: float = HEARTBEAT) -> None:
        self._heartbeat = heartbeat
        self._ended = asyncio.Event()
        self._open = 0

    @property
    def open(self) -> int:
        """The number of open streams."""
        return self._open

    def end(self) -> None:
        """End all streams, now and from now on. A server calls it before it waits for them."""
        self._ended.set()

    def response(self, source: AsyncIterator[Event]) -> StreamingResponse:
        """A response that sends the events of a source until it, the browser or the server ends.

        The source is asked for the next event when the one before is sent: it has to conflate
        what a slow browser cannot follow. It is closed at the end if it is a generator.
        """
        return StreamingResponse(
            self._sent(source), media_type="text/event-stream", headers=_HEADERS
        )

    async def _sent(self, source: AsyncIterator[Event]) -> AsyncIterator[str]:
        ending = asyncio.ensure_future(self._ended.wait())
        coming: asyncio.Future[Event] | None = None
        self._open += 1
        try:
            yield f"retry: {_RETRY}\n\n"
            while not ending.done():
                coming = coming or asyncio.ensure_future(anext(source))
                await asyncio.wait(
                    (coming, ending),
                    timeout=self._heartbeat,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if coming.done():
                    try:
                        event = coming.result()
                    except StopAsyncIteration:
                        break
                    finally:
                        coming = None
                    yield event.encoded()
                elif not ending.done():
                    yield ": still here\n\n"
        finally:
            self._open -= 1
            await _cancelled(ending, coming)
            close = getattr(source, "aclose", None)
            if close is not None:
                await close()


async def _cancelled(*futures: "asyncio.Future[Any] | None") -> None:
    """Cancel what is not done, and wait for its end."""
    for each in futures:
        if each is not None:
            each.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await each
