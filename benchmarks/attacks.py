"""The attacks of `hostile`: each sends the input of one row again and again, until it is told.

An attack is a coroutine function. It returns the number of messages, or calls, that it has sent.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any, TypeAlias

from google.protobuf.duration_pb2 import Duration
from grpc import StatusCode, aio
from relevo.v1 import store_pb2_grpc
from relevo.v1.store_pb2 import (
    BatchGetRequest,
    GetRequest,
    InvalidateRequest,
    LeaseRequest,
    PutRequest,
)
from support.clients.access import bearer
from support.clients.calls import key
from support.clients.hostile import empty_gets, empty_keys, many_includes, one_path
from support.clients.http2 import Http2, framed
from support.contexts import of_size

from benchmarks.calls import path

HOSTILE = "acme"
"""The tenant of the attacks, and the token of its principal."""
_TIMEOUT = 20.0
_HEALTH = "/grpc.health.v1.Health/Watch"
_ALLOWED = {
    *(StatusCode.INVALID_ARGUMENT, StatusCode.PERMISSION_DENIED, StatusCode.UNAUTHENTICATED),
    *(StatusCode.RESOURCE_EXHAUSTED, StatusCode.ABORTED),
}
"""The statuses with which an attack may end, besides OK."""


@dataclass(frozen=True)
class Target:
    """The target of an attack, and its means."""

    port: int
    gets: Sequence[GetRequest]
    """Gets of 100 entries with 16 layers, each of 256 KiB."""
    has_ended: Callable[[], bool]
    stubs: Sequence[Any]
    """Stubs on connections of their own."""

    async def until_ended(self, attack: Callable[[], Awaitable[int]]) -> int:
        """Repeat an attack. Returns the sum of what it returns."""
        sent = await attack()
        while not self.has_ended():
            sent += await attack()
        return sent

    async def in_thread(self, attack: Callable[[], int]) -> int:
        """Repeat a blocking attack, in a thread."""
        return await self.until_ended(partial(asyncio.to_thread, attack))


Attack: TypeAlias = Callable[[Target], Awaitable[int]]


async def _call(method: Any, request: Any) -> int:
    """Call a method as the tenant. Raises an error that no caller should see."""
    try:
        await method(request, timeout=_TIMEOUT, metadata=bearer(HOSTILE))
    except aio.AioRpcError as error:
        if error.code() not in _ALLOWED:
            raise
    return 1


def _unary(method: str, request: Callable[[Target, int], Any]) -> Attack:
    """Calls of a method with a request for each number, one at a time."""

    async def attack(target: Target) -> int:
        numbers = count()
        called = getattr(target.stubs[0], method)
        return await target.until_ended(lambda: _call(called, request(target, next(numbers))))

    return attack


def _same(method: str, request: Any) -> Attack:
    return _unary(method, lambda _target, _number: request)


async def _leases(target: Target) -> int:
    """4,096 calls at a time that want to wait for one lease."""
    lease = LeaseRequest(key=key(tenant=HOSTILE), wait=Duration(seconds=1))

    async def wait_all() -> int:
        stubs = target.stubs
        calls = (_call(stubs[i % len(stubs)].Lease, lease) for i in range(4096))
        return sum(await asyncio.gather(*calls))

    return await target.until_ended(wait_all)


async def _deaf(target: Target) -> int:
    """60 BatchGets at a time whose answers nobody reads."""
    message = BatchGetRequest(requests=target.gets[:12]).SerializeToString()

    def ask() -> int:
        with Http2(target.port) as deaf:
            for _ in range(60):
                deaf.call(path("BatchGet"), message, token=HOSTILE)
            deaf.read(0.5)  # flow control ends that soon: windows are not renewed
        return 60

    return await target.in_thread(ask)


async def _large_and_unknown(target: Target) -> int:
    """8 BatchGets at a time of two million empty Gets, from connections without a token."""
    request = framed(empty_gets(2_000_000).SerializeToString())

    def ask() -> int:
        with Http2(target.port) as stranger:
            stream = stranger.call(path("BatchGet"))
            stranger.push(stream, request)
            stranger.read_until_ended(stream)
        return 1

    async def all_of_them() -> int:
        return sum(await asyncio.gather(*(asyncio.to_thread(ask) for _ in range(8))))

    return await target.until_ended(all_of_them)


def _unread(method: str, message: bytes | None, *, resets: bool = False) -> Attack:
    """5,000 calls without a token, up to the limit of streams at a time."""

    async def attack(target: Target) -> int:
        def ask() -> int:
            with Http2(target.port) as stranger:
                for i in range(5000):
                    if stranger.is_closed:
                        return i
                    stream = stranger.call(method, message)
                    if resets:
                        stranger.reset(stream)
                    if i % 500 == 499:
                        few = None if resets else lambda: stranger.open <= 100
                        stranger.read(0.01 if resets else 20, until=few)
            return 5000

        return await target.in_thread(ask)

    return attack


def _invalidate(_: Target, __: int) -> InvalidateRequest:
    return InvalidateRequest(tenant={"tenant_id": HOSTILE, "scope": uuid.uuid4().hex})


_LARGEST = of_size(255 << 10)


def _put(_: Target, number: int) -> PutRequest:
    return PutRequest(key=key(f"n{number}", tenant=HOSTILE), context=_LARGEST)


ATTACKS: dict[str, Attack] = {
    "a mask of one path, 4,000 times": _same("Put", one_path(4000)),
    "20,000 includes": _same("Put", many_includes(20_000)),
    "150,000 empty keys, no right": _same("Invalidate", empty_keys(150_000)),
    "100 Gets of 17 large entries": _unary(
        "BatchGet", lambda target, _: BatchGetRequest(requests=target.gets)
    ),
    "60 BatchGets, answers not read": _deaf,
    "4,096 waiting Leases": _leases,
    "8 times 2 million Gets, no token": _large_and_unknown,
    "5,000 headers, no token": _unread(path("Get"), None),
    "5,000 Health/Watch, no token": _unread(_HEALTH, b""),
    "5,000 streams, reset at once": _unread(path("Get"), None, resets=True),
    "Invalidates of random scopes": _unary("Invalidate", _invalidate),
    "Puts until the quota is full": _unary("Put", _put),
}
"""The attacks by what they send."""


async def stubs_of(address: str, stack: AsyncExitStack, number: int) -> list[Any]:
    """Stubs, each on a connection of its own."""
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]
    stubs: list[Any] = []
    for _ in range(number):
        channel = await stack.enter_async_context(aio.insecure_channel(address, options))
        stubs.append(store_pb2_grpc.ContextStoreStub(channel))
    return stubs
