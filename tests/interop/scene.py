"""All servers that a driver talks to, in this process and on real ports."""

import asyncio
import uuid
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

from interop.failing import failing_server
from interop.newer import newer_server
from interop.services import asyncio_service, blocking_service
from pydantic import SecretStr
from relevo_server.server import Server
from relevo_server.settings import Settings
from support.clients.access import principal
from support.redis.client import RedisClient

TOKEN = "a token of the tests"  # noqa: S105 - opens nothing but this server
BATCH_BYTES = 100_000


def _settings(store_url: str, **others: object) -> Settings:
    values: dict[str, object] = {
        "listen": "127.0.0.1:0",
        "store": SecretStr(store_url),
        "store_prefix": f"test-{uuid.uuid4().hex}",
        "grace": 0.5,
        "max_batch_bytes": BATCH_BYTES,
        **others,
    }
    return Settings.model_validate(values)


@asynccontextmanager
async def scene(store_url: str) -> AsyncGenerator[dict[str, str], None]:
    """Running servers and services: their addresses, by the drivers' names for them."""
    settings = _settings(store_url)
    guarded = Server(_settings("memory://", principals=(principal(TOKEN, "acme"),)))
    stopping = AsyncExitStack()
    async with AsyncExitStack() as stack:
        if store_url != "memory://":
            redis = stack.enter_context(RedisClient(store_url))
            stack.callback(redis.forget, settings.store_prefix)
        store = await stack.enter_async_context(Server(settings))
        last = await stopping.enter_async_context(Server(_settings("memory://")))
        stack.push_async_callback(stopping.aclose)
        ends: set[asyncio.Task[None]] = set()

        async def stop() -> None:
            """Begin to stop the server that exists for this purpose."""
            ends.add(asyncio.create_task(stopping.aclose()))

        yield {
            "store": store.address,
            "stopping": last.address,
            "guarded": (await stack.enter_async_context(guarded)).address,
            "failing": (await stack.enter_async_context(failing_server())).address,
            "newer": await stack.enter_async_context(newer_server()),
            "asyncio": await stack.enter_async_context(asyncio_service(store.address, stop)),
            "blocking": stack.enter_context(blocking_service(store.address)),
            "token": TOKEN,
        }
        await asyncio.gather(*ends)
