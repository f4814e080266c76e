"""Code that the services share: running a server, and passing on a callee's failure."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from grpc import aio

GRACE = 2.0
"""Seconds that calls in flight have to end."""


async def serve(server: aio.Server) -> None:
    """Serve until SIGTERM or SIGINT on a free loopback port, announced on standard error."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    started = {"level": "info", "event": "server.started", "address": f"127.0.0.1:{port}"}
    print(json.dumps(started), file=sys.stderr, flush=True)
    await stop.wait()
    await server.stop(GRACE)


@asynccontextmanager
async def failing_like_callee(context: aio.ServicerContext[Any, Any]) -> AsyncGenerator[None]:
    """End the call with the status of a failed call to another service, instead of UNKNOWN."""
    try:
        yield
    except aio.AioRpcError as error:
        await context.abort(error.code(), error.details() or "")
