"""Serves pages on a port, and ends in an orderly way."""

import asyncio
import signal
import socket
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from starlette.types import ASGIApp

GRACE = 3
"""Seconds that requests have to end when the server does."""


class StartError(Exception):
    """The pages' server did not start."""


class _PageServer(uvicorn.Server):
    """A uvicorn server that handles no signals, and ends streams before it waits for them."""

    def __init__(self, config: uvicorn.Config, at_end: Callable[[], object]) -> None:
        super().__init__(config)
        self._at_end = at_end
        self.has_started = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Capture none: who serves pages has signals to handle of its own."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        try:
            await super().startup(sockets)
        except SystemExit:  # uvicorn has logged why
            raise StartError("the pages' server cannot start") from None
        if self.started:
            self.has_started.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End streams, then the server."""
        self._at_end()
        await super().shutdown(sockets)


def listen(host: str = "127.0.0.1", port: int = 0) -> socket.socket:
    """A socket that listens; of a free port if it is 0. Raises OSError if it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener


def url_of(listener: socket.socket) -> str:
    """The URL of pages that are served on a listener: `http://127.0.0.1:8390/`."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


@asynccontextmanager
async def serving(
    app: ASGIApp,
    listener: socket.socket,
    *,
    at_end: Callable[[], object] = lambda: None,
    has_websockets: bool = False,
) -> AsyncGenerator[str]:
    """Serve an application on a listener; its URL. The listener is closed at the end.

    `at_end` is called before the server waits for open requests: it ends streams. WebSockets
    need the package `websockets`. Raises StartError.
    """
    config = uvicorn.Config(
        app,
        access_log=False,  # URLs have names of keys
        date_header=False,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE,
        ws="websockets-sansio" if has_websockets else "none",
    )
    server = _PageServer(config, at_end)
    with listener:
        running = asyncio.ensure_future(server.serve(sockets=[listener]))
        starting = asyncio.ensure_future(server.has_started.wait())
        try:
            await asyncio.wait((running, starting), return_when=asyncio.FIRST_COMPLETED)
            if not starting.done():
                await running
                raise StartError("the pages' server has ended while it started")
            yield url_of(listener)
        finally:
            starting.cancel()
            server.should_exit = True
            if not running.done() or not running.exception():
                await running


async def until_stopped() -> None:
    """Wait for SIGTERM or SIGINT, which do nothing else meanwhile."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    try:
        await stopped.wait()
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
