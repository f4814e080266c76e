"""Checks that a malformed request is refused, and that nothing of it is written."""

from collections.abc import Awaitable

from grpc import StatusCode
from relevo.v1.store_pb2 import (
    BatchGetRequest,
    GetRequest,
    InvalidateRequest,
    PutRequest,
)
from relevo_server.storage import Storage
from support.clients.calls import TIMEOUT, Stub
from support.failures import Failure, failure_of

Request = GetRequest | BatchGetRequest | PutRequest | InvalidateRequest


def send(stub: Stub, request: Request) -> Awaitable[object]:
    """Send a request to its method."""
    match request:
        case GetRequest():
            return stub.Get(request, timeout=TIMEOUT)
        case BatchGetRequest():
            return stub.BatchGet(request, timeout=TIMEOUT)
        case PutRequest():
            return stub.Put(request, timeout=TIMEOUT)
        case InvalidateRequest():
            return stub.Invalidate(request, timeout=TIMEOUT)


async def refusal(stub: Stub, storage: Storage, request: Request) -> Failure:
    """The refusal of a malformed request, which must not have written anything."""
    failure = await failure_of(send(stub, request))
    assert (failure.code, failure.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert all(description for _, description in failure.violations)
    assert not (await storage.tail(storage.partition_of("acme"), 0, 1)).events
    return failure
