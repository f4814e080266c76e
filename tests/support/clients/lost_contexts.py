"""Every cause for a missing context, each with the status that a server returns for it."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from grpc import StatusCode
from relevo_client import (
    ContextKey,
    ContextRef,
    ExecutionContext,
    Fallback,
    LostContext,
    Policy,
)
from relevo_client.testing import LocalStore

from support.clients.caching import caching
from support.network.proxy import Proxy
from support.servers.hosting import StoreClients

SLOW = 4.0
"""Seconds that a response of the slow store takes."""


@dataclass(frozen=True)
class Loss:
    """A call without an available context: the server's clients, and the call's reference."""

    clients: StoreClients
    ref: ContextRef | None


@dataclass(frozen=True)
class Cause:
    """A cause for a missing context."""

    name: str
    policy: str
    """The field of `Policy` that is for it."""
    refusal: tuple[StatusCode, str]
    lose: Callable[[LocalStore], AbstractAsyncContextManager[Loss]]
    budget: float = 20.0
    """Seconds that a call may take, which a busy machine does not need."""

    def __str__(self) -> str:
        return self.name

    def handled(
        self, way: Fallback | Callable[[LostContext], ExecutionContext], *, lazy: bool = False
    ) -> Policy:
        """The policy that handles the cause in this way."""
        given: dict[str, Any] = {self.policy: way, "lazy": lazy}
        return Policy(**given)


def _key() -> ContextKey:
    return ContextKey("conversation", "acme", uuid4().hex)


@asynccontextmanager
async def _no_reference(store: LocalStore) -> AsyncGenerator[Loss, None]:
    async with caching(store.address) as clients:
        yield Loss(clients, None)


@asynccontextmanager
async def _not_found(store: LocalStore) -> AsyncGenerator[Loss, None]:
    async with caching(store.address) as clients:
        yield Loss(clients, ContextRef(_key()))


@asynccontextmanager
async def _incomplete(store: LocalStore) -> AsyncGenerator[Loss, None]:
    async with caching(store.address) as clients:
        yield Loss(clients, await clients.asyncio.put(_key(), ExecutionContext(includes=(_key(),))))


@asynccontextmanager
async def _too_old(store: LocalStore) -> AsyncGenerator[Loss, None]:
    async with caching(store.address) as clients:
        ref = await clients.asyncio.put(_key(), ExecutionContext(user_id="too old"))
        # An hour ahead of the store's revision, which begins with milliseconds.
        yield Loss(clients, ContextRef(ref.key, ref.revision + (3_600_000 << 20)))


@asynccontextmanager
async def _down(_: LocalStore) -> AsyncGenerator[Loss, None]:
    async with caching("127.0.0.1:1") as clients:
        yield Loss(clients, ContextRef(_key()))


@asynccontextmanager
async def _slow(store: LocalStore) -> AsyncGenerator[Loss, None]:
    ref = store.client.put(_key(), ExecutionContext(user_id="too late"))
    with Proxy(int(store.address.rpartition(":")[2])) as proxy:
        proxy.to_client.delay = SLOW
        async with caching(f"127.0.0.1:{proxy.port}") as clients:
            yield Loss(clients, ref)


_FAILED = StatusCode.FAILED_PRECONDITION
_UNAVAILABLE = StatusCode.UNAVAILABLE, "the call's context cannot be resolved now"

NO_REFERENCE = Cause(
    "no reference", "no_reference", (_FAILED, "the call names no context"), _no_reference
)
NOT_FOUND = Cause(
    "not found", "not_found", (_FAILED, "the call's context does not exist"), _not_found
)
INCOMPLETE = Cause(
    "incomplete", "incomplete", (_FAILED, "the call's context is incomplete"), _incomplete
)
TOO_OLD = Cause(
    "stale store", "too_old", (_FAILED, "the call's context is newer than the store"), _too_old
)
DOWN = Cause("store down", "unavailable", _UNAVAILABLE, _down)
SLOW_STORE = Cause("slow store", "unavailable", _UNAVAILABLE, _slow, budget=0.75 * SLOW)

CAUSES = (NO_REFERENCE, NOT_FOUND, INCOMPLETE, TOO_OLD, DOWN, SLOW_STORE)
