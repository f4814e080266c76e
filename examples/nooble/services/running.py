"""Runs the services: each announces its address and stops on a signal."""

import asyncio
import json
import logging
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from nooble.exporting import exported
from nooble.wiring import Wiring


def run(name: str, main: Callable[[Wiring], Coroutine[Any, Any, None]]) -> None:
    """Run a service with the wiring of its command line."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    # This level includes the actions that are delivered again.
    logging.getLogger("relevo_client").setLevel(logging.INFO)
    with exported(name, announce_metrics):
        asyncio.run(main(Wiring.parse()))


async def until_stopped() -> None:
    """Wait for SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()


def announce(address: str) -> None:
    """Announce on standard error that the service serves, in the format of `relevo serve`."""
    _log("server.started", address)


def announce_metrics(address: str) -> None:
    """Announce where Prometheus finds the metrics, in the format of `relevo serve`."""
    _log("metrics.started", address)


def _log(event: str, address: str) -> None:
    started = {"level": "info", "event": event, "address": address}
    print(json.dumps(started), file=sys.stderr, flush=True)


class _HttpServer(uvicorn.Server):
    """A uvicorn server that handles no signals and announces its address."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Capture none: `until_stopped` waits for them."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and announce the address."""
        await super().startup(sockets)
        for listening in sockets or ():
            announce("{}:{}".format(*listening.getsockname()))


async def serve_http(app: ASGIApp) -> None:
    """Serve an ASGI application on a free loopback port, until SIGTERM or SIGINT."""
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2)
    server = _HttpServer(config)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        stopping = asyncio.create_task(until_stopped())
        await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await serving
        stopping.cancel()
