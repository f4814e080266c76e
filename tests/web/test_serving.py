"""The pages' server: where it serves, how it starts and ends."""

import asyncio
import os
import signal
from contextlib import AsyncExitStack
from typing import Never

import httpx
import pytest
from relevo_web.serving import StartError, listen, serving, until_stopped, url_of
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from support import waiting
from support.web.sample import Sample


async def test_url() -> None:
    """The URL is where the pages are."""
    async with Sample().served() as url, httpx.AsyncClient() as client:
        assert url.startswith("http://127.0.0.1:")
        assert (await client.get(f"{url}second")).status_code == 200


def test_ipv6() -> None:
    """An IPv6 address stands in brackets."""
    try:
        listener = listen("::1")
    except OSError:
        pytest.skip("no IPv6 here")
    with listener:
        assert url_of(listener).startswith("http://[::1]:")


def test_port_in_use() -> None:
    """A port that somebody else has cannot be had."""
    with listen() as listener, pytest.raises(OSError, match="in use"):
        listen("127.0.0.1", listener.getsockname()[1])


async def test_ends_with_open_streams() -> None:
    """A server that ends waits for no stream: they are ended first, and were not cut off."""
    sample = Sample()
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(sample.served())
        client = await stack.enter_async_context(httpx.AsyncClient(timeout=30))
        response = await stack.enter_async_context(client.stream("GET", f"{url}events"))
        lines = response.aiter_lines()
        assert await anext(lines) == "retry: 1000"
        sample.streams.end()
        rest = [line async for line in lines]  # it is whole: httpx would raise otherwise
    assert "event: value" in rest


async def test_end_calls_at_end() -> None:
    """Streams are told when their server ends."""
    ended = asyncio.Event()
    async with serving(Starlette(), listen(), at_end=ended.set):
        assert not ended.is_set()
    assert ended.is_set()


async def test_no_server_header() -> None:
    """Responses do not say what serves them."""

    async def page(_: Request) -> Response:
        return PlainTextResponse("")

    async with (
        serving(Starlette(routes=[Route("/", page)]), listen()) as url,
        httpx.AsyncClient() as client,
    ):
        response = await client.get(url)
        assert "server" not in response.headers


async def test_start_fails() -> None:
    """An application that cannot start is an error of the server, not a silence."""

    def fail(_: object) -> Never:
        raise LookupError("no store")

    with pytest.raises(StartError, match="cannot start"):
        async with serving(Starlette(lifespan=fail), listen()):
            pytest.fail("it serves")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signals(number: signal.Signals) -> None:
    """SIGTERM and SIGINT end the wait, and nothing else."""
    before = signal.getsignal(number)
    stopping = asyncio.ensure_future(until_stopped())
    await waiting.until_async(lambda: signal.getsignal(number) is not before)
    os.kill(os.getpid(), number)
    await asyncio.wait_for(stopping, waiting.PATIENCE)
