"""What the services have in common: how they run, and how they fail."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from grpc import aio

GRACE = 2.0
"""Seconds that calls under way have to end."""


async def serve(server: aio.Server) -> None:
    """Serve on a free loopback port, which standard error tells, until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    started = {"level": "info", "event": "server.started", "address": f"127.0.0.1:{port}"}
    print(json.dumps(started), file=sys.stderr, flush=True)
    await asked.wait()
    await server.stop(GRACE)


@asynccontextmanager
async def failing_like_callee(context: aio.ServicerContext[Any, Any]) -> AsyncGenerator[None]:
    """End the call as the call of another service ended: with its status, not as UNKNOWN."""
    try:
        yield
    except aio.AioRpcError as error:
        await context.abort(error.code(), error.details() or "")
