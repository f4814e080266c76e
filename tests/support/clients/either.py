"""One interface for tests to the store's clients of both kinds, blocking and asyncio."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Never

import grpc
import pytest
from grpc import aio
from relevo_client import (
    AsyncContextClient,
    CacheCounts,
    ContextClient,
    ContextEntry,
    ContextKey,
    ContextRef,
    ExecutionContext,
    NotFoundError,
    RelevoError,
)

from support.servers.shapes import Kind
from support.waiting import until_async

KINDS: tuple[Kind, ...] = ("blocking", "asyncio")

Ask = Callable[[Any], Any]
"""A call on a client of either kind: `lambda client: client.get(key)`."""

KEY = ContextKey("conversation", "acme", "c-1")
ENTRY = ContextEntry(
    KEY, ExecutionContext(), 1, 1, 0, datetime.max.replace(tzinfo=UTC), timedelta(1)
)
"""An entry as a client resolves it."""


def never(_: ContextKey) -> Never:
    """A factory that must not be called."""
    raise AssertionError("the factory was called")


METHODS: dict[str, Ask] = {
    "get": lambda client: client.get(KEY),
    "batch_get": lambda client: client.batch_get([KEY]),
    "put": lambda client: client.put(KEY, ExecutionContext()),
    "update": lambda client: client.update(KEY, {"user_id": "u"}),
    "invalidate": lambda client: client.invalidate(KEY),
    "invalidate_tenant": lambda client: client.invalidate_tenant("acme"),
    "get_or_create": lambda client: client.get_or_create(KEY, never),
    "resolve": lambda client: client.resolve(KEY),
    "snapshot": lambda client: client.snapshot(ENTRY),
    "turn_entry": lambda client: client.turn_entry(KEY),
}
"""A call of each method that calls the store. The factory of `get_or_create` is never called."""


class Either:
    """A client of one of the kinds."""

    def __init__(self, client: ContextClient | AsyncContextClient) -> None:
        self._client = client

    async def ask(self, call: Ask) -> Any:
        """Make a call, and return its result. A blocking call runs in a thread."""
        if isinstance(self._client, AsyncContextClient):
            return await call(self._client)
        return await asyncio.to_thread(call, self._client)

    async def raised(self, call: Ask) -> RelevoError:
        """Make a call that must fail, and return its error."""
        with pytest.raises(RelevoError) as caught:
            await self.ask(call)
        return caught.value

    def peek(self, target: ContextKey | ContextRef) -> ContextEntry | None:
        """The cached entry, or None. This does not block, so it needs no thread."""
        return self._client.peek(target)

    async def local(self, target: ContextKey | ContextRef) -> ContextEntry:
        """Wait until an entry is cached, and return it."""
        found: list[ContextEntry] = []

        async def is_found() -> bool:
            entry = self.peek(target)
            found.extend([entry] if entry else [])
            return bool(found)

        await until_async(is_found, what=f"{target} to be local")
        return found[0]

    async def absent(self, target: ContextKey | ContextRef) -> None:
        """Wait until the near cache knows that there is no entry."""

        def is_absent() -> bool:
            try:
                self.peek(target)
            except NotFoundError:
                return True
            return False

        await until_async(is_absent, what=f"{target} to be known as absent")

    @property
    def cache_counts(self) -> CacheCounts:
        """The counts of the client's cache."""
        return self._client.cache_counts

    async def close(self) -> None:
        """Close the client."""
        await self.ask(lambda client: client.close())


@asynccontextmanager
async def opened(kind: Kind, address: str, **options: Any) -> AsyncGenerator[Either, None]:
    """A client of this kind, with a channel of its own; it waits 10 s unless told otherwise."""
    options = {"timeout": 10, **options}
    if kind == "blocking":
        with ContextClient(address, **options) as client:
            yield Either(client)
    else:
        async with AsyncContextClient(address, **options) as async_client:
            yield Either(async_client)


@asynccontextmanager
async def opened_on_a_channel(
    kind: Kind, address: str, **options: Any
) -> AsyncGenerator[Either, None]:
    """A client of this kind, on a channel that its user opens and closes; it waits 10 s, too."""
    options = {"timeout": 10, **options}
    if kind == "blocking":
        with grpc.insecure_channel(address) as channel:
            yield Either(ContextClient(channel=channel, **options))
    else:
        async with aio.insecure_channel(address) as aio_channel:
            yield Either(AsyncContextClient(channel=aio_channel, **options))
