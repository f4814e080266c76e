"""The statuses of calls to services in Node.js."""

from collections.abc import Awaitable

import pytest
from grpc import StatusCode, aio


async def status_of(call: Awaitable[object]) -> tuple[StatusCode, str]:
    """The error of a call."""
    with pytest.raises(aio.AioRpcError) as caught:
        await call
    return caught.value.code(), caught.value.details() or ""
