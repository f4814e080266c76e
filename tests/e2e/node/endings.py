"""How calls of the services in Node.js end."""

from collections.abc import Awaitable

import pytest
from grpc import StatusCode, aio


async def status_of(call: Awaitable[object]) -> tuple[StatusCode, str]:
    """How a call ends, which is not well."""
    with pytest.raises(aio.AioRpcError) as caught:
        await call
    return caught.value.code(), caught.value.details() or ""
