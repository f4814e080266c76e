"""CACHED Gets, and whether each one read from the store."""

from typing import Any

from google.protobuf.message import Message
from grpc import StatusCode, aio
from relevo.v1.context_pb2 import ContextKey
from relevo.v1.store_pb2 import Consistency
from support.clients.calls import (
    Stub,
    get,
    key,
)
from support.servers.spied_storage import Spy
from support.waiting import until_async

CACHED = Consistency.CONSISTENCY_CACHED
AGENT = key("a1", scope="agent_config")


async def outcome(stub: Stub, target: ContextKey, **rest: Any) -> Message | StatusCode:
    """The answer or the error of a CACHED Get."""
    try:
        return await get(stub, target, consistency=CACHED, **rest)
    except aio.AioRpcError as error:
        return error.code()


async def from_memory(stub: Stub, spy: Spy, target: ContextKey, **rest: Any) -> Any:
    """The first answer to a CACHED Get that did not read from the store."""
    found: Message | StatusCode = StatusCode.UNKNOWN

    async def is_at_hand() -> bool:
        nonlocal found
        before = spy.reads
        found = await outcome(stub, target, **rest)
        return spy.reads == before

    await until_async(is_at_hand, what=f"{target} is answered from memory")
    return found


async def is_asked(stub: Stub, spy: Spy, target: ContextKey, **rest: Any) -> bool:
    """Whether a CACHED Get reads from the store."""
    before = spy.reads
    await outcome(stub, target, **rest)
    return spy.reads > before


async def is_as_of(stub: Stub, target: ContextKey, revision: int) -> bool:
    """Whether an existing entry is answered as of this revision or a later one."""
    return (await get(stub, target, consistency=CACHED)).revision >= revision
