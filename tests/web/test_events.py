"""Streams of events: what is sent, and how they end."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from relevo_web.events import Event, Streams
from starlette.responses import StreamingResponse
from support import waiting


async def text_of(response: StreamingResponse) -> list[str]:
    """All that a response sends."""
    return [str(each) async for each in response.body_iterator]


@pytest.mark.parametrize(
    "data, lines",
    [
        ("a", "data: a\n"),
        ("a\nb", "data: a\ndata: b\n"),
        ("", "data: \n"),
        ("a\r\nb\rc", "data: a\ndata: b\ndata: c\n"),
        ("a\u2028b", "data: a\u2028b\n"),
    ],
)
def test_encoding(data: str, lines: str) -> None:
    """Each line of an event's data is a field; none of them can begin another event."""
    assert Event("change", data).encoded() == f"event: change\n{lines}\n"


async def test_source() -> None:
    """A stream says when to come again, sends what its source yields, and ends with it."""

    async def source() -> AsyncIterator[Event]:
        yield Event("a", "1")
        yield Event("b", "2")

    streams = Streams()
    sent = await asyncio.wait_for(text_of(streams.response(source())), waiting.PATIENCE)
    assert sent == ["retry: 1000\n\n", "event: a\ndata: 1\n\n", "event: b\ndata: 2\n\n"]
    assert streams.open == 0


async def test_heartbeat() -> None:
    """A silent stream sends comments, and loses no event by that."""
    release = asyncio.Event()

    async def source() -> AsyncIterator[Event]:
        await release.wait()
        yield Event("a", "1")

    sent: list[str] = []
    async for each in Streams(heartbeat=0.01).response(source()).body_iterator:
        sent.append(str(each))
        if len(sent) == 4:
            release.set()
    assert sent[1:4] == [": still here\n\n"] * 3
    assert sent[-1] == "event: a\ndata: 1\n\n"


async def silent(closed: asyncio.Event) -> AsyncIterator[Event]:
    """A source that has no event, and tells when it is closed."""
    try:
        await asyncio.Event().wait()
        yield Event("never", "")
    finally:
        closed.set()


async def test_end() -> None:
    """When the server ends, streams end at once, those that come later, too; sources are closed."""
    closed = asyncio.Event()
    streams = Streams()
    reading = asyncio.ensure_future(text_of(streams.response(silent(closed))))
    await waiting.until_async(lambda: streams.open == 1)
    streams.end()
    assert await asyncio.wait_for(reading, waiting.PATIENCE) == ["retry: 1000\n\n"]
    assert closed.is_set()
    later = text_of(streams.response(silent(closed)))
    assert len(await asyncio.wait_for(later, waiting.PATIENCE)) == 1


async def test_browser_leaves() -> None:
    """When a browser leaves, its source is closed, though it waits for something."""
    closed = asyncio.Event()
    streams = Streams()
    reading = asyncio.ensure_future(text_of(streams.response(silent(closed))))
    await waiting.until_async(lambda: streams.open == 1)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await waiting.until_async(closed.is_set)
    assert streams.open == 0


async def test_failure() -> None:
    """A source that fails ends its stream with its error, which the server logs."""

    async def source() -> AsyncIterator[Event]:
        yield Event("a", "1")
        raise LookupError("no store")

    with pytest.raises(LookupError, match="no store"):
        await text_of(Streams().response(source()))
