"""Leases, as calls on the generated stub."""

from typing import Any

from relevo.v1.context_pb2 import ContextKey
from relevo.v1.store_pb2 import LeaseRequest, LeaseResponse, ReleaseRequest

from support.clients.calls import (
    TIMEOUT,
    Stub,
    key,
    seconds,
)


async def lease(
    stub: Stub, wanted: ContextKey | None = None, *, wait: float = 0, **rest: Any
) -> LeaseResponse:
    """Ask for an entry, or the right to write it."""
    request = LeaseRequest(key=wanted or key(), wait=seconds(wait), **rest)
    return await stub.Lease(request, timeout=TIMEOUT)


async def release(stub: Stub, token: str, wanted: ContextKey | None = None) -> None:
    """Give a lease back."""
    request = ReleaseRequest(key=wanted or key(), lease_token=token)
    await stub.Release(request, timeout=TIMEOUT)
