"""The Admin service's stub, and short forms of its calls."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Self, TypeAlias

from grpc import aio
from relevo.admin.v1 import admin_pb2_grpc
from relevo.admin.v1.admin_pb2 import (
    Change,
    ChangesRequest,
    ChangesResponse,
    KeyInfo,
    ListKeysRequest,
)
from relevo.v1.context_pb2 import ContextKey
from relevo.v1.store_pb2 import TenantSelector

from support.clients.calls import TIMEOUT
from support.clients.strict import StrictChannel
from support.waiting import PATIENCE

AdminStub: TypeAlias = "admin_pb2_grpc.AdminAsyncStub"


@asynccontextmanager
async def admin_of(address: str) -> AsyncGenerator[AdminStub, None]:
    """The generated stub, on a channel of its own. Fails if a response is not strict."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with aio.insecure_channel(address, options) as channel:
        strict: Any = StrictChannel(channel)
        stub: Any = admin_pb2_grpc.AdminStub(strict)
        yield stub
        for problem in strict.problems:
            raise problem


async def all_keys(
    admin: AdminStub, tenant: str, scope: str = "", *, page_size: int = 0
) -> list[KeyInfo]:
    """The keys of a tenant, from all pages."""
    found: list[KeyInfo] = []
    token = ""
    while True:
        request = ListKeysRequest(
            tenant_id=tenant, scope=scope, page_size=page_size, page_token=token
        )
        page = await admin.ListKeys(request, timeout=TIMEOUT)
        found += page.keys
        token = page.next_page_token
        if not token:
            return found


class Following:
    """A stream of changes that is read message by message. Use with `async with`."""

    def __init__(self, admin: AdminStub, request: ChangesRequest, **rest: Any) -> None:
        self.call: Any = admin.Changes(request, **rest)

    async def __aenter__(self) -> Self:
        """Open the stream."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the stream."""
        self.call.cancel()

    async def next(self) -> ChangesResponse:
        """The next message."""
        message: ChangesResponse = await asyncio.wait_for(self.call.read(), PATIENCE)
        return message


async def changes_of(
    admin: AdminStub, target: ContextKey | TenantSelector, **rest: Any
) -> list[Change]:
    """The changes so far. `rest` are further fields of the request. Fails if there is a gap."""
    field = {"key": target} if isinstance(target, ContextKey) else {"tenant": target}
    call: Any = admin.Changes(ChangesRequest(**field, **rest), timeout=TIMEOUT)
    responses = [response async for response in call]
    assert not any(response.gap for response in responses)
    return [response.change for response in responses]
