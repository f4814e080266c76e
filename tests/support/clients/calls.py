"""Short forms of the store's calls through its generated stub."""

from typing import Any, TypeAlias

from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from grpc import StatusCode, aio
from relevo.v1 import store_pb2, store_pb2_grpc
from relevo.v1.context_pb2 import ContextKey, ExecutionContext

Stub: TypeAlias = "store_pb2_grpc.ContextStoreAsyncStub"

TIMEOUT = 20.0
"""The deadline in seconds for calls that are expected to end, so that a hang fails the test."""


def key(id: str = "c1", *, tenant: str = "acme", scope: str = "conversation") -> ContextKey:  # noqa: A002 - the field's name
    """A key."""
    return ContextKey(scope=scope, tenant_id=tenant, id=id)


def context(**fields: Any) -> ExecutionContext:
    """A context; sections may be dicts."""
    return ExecutionContext(**fields)


def seconds(value: float) -> Duration:
    """A duration, exact to the millisecond."""
    duration = Duration()
    duration.FromMilliseconds(round(value * 1000))
    return duration


def masked(*paths: str) -> FieldMask:
    """An update mask."""
    return FieldMask(paths=paths)


async def put(
    stub: Stub, key: ContextKey, context: ExecutionContext | None = None, **rest: Any
) -> store_pb2.PutResponse:
    """Put a context, by default an empty one. `rest` are further fields of the request."""
    request = store_pb2.PutRequest(key=key, context=context or ExecutionContext(), **rest)
    return await stub.Put(request, timeout=TIMEOUT)


async def get(stub: Stub, key: ContextKey, **rest: Any) -> store_pb2.GetResponse:
    """Get an entry. `rest` are further fields of the request."""
    return await stub.Get(store_pb2.GetRequest(key=key, **rest), timeout=TIMEOUT)


async def batch_get(stub: Stub, *keys: ContextKey) -> list[store_pb2.BatchGetResult]:
    """Get several entries."""
    requests = [store_pb2.GetRequest(key=each) for each in keys]
    response = await stub.BatchGet(store_pb2.BatchGetRequest(requests=requests), timeout=TIMEOUT)
    return list(response.results)


async def invalidate(
    stub: Stub, *keys: ContextKey, request_id: str = ""
) -> store_pb2.InvalidateResponse:
    """Invalidate entries."""
    named = store_pb2.ContextKeys(keys=keys)
    request = store_pb2.InvalidateRequest(keys=named, request_id=request_id)
    return await stub.Invalidate(request, timeout=TIMEOUT)


async def invalidate_tenant(
    stub: Stub, tenant: str, scope: str = "", *, request_id: str = ""
) -> store_pb2.InvalidateResponse:
    """Invalidate all entries of a tenant, or of one of its scopes."""
    selector = store_pb2.TenantSelector(tenant_id=tenant, scope=scope)
    request = store_pb2.InvalidateRequest(tenant=selector, request_id=request_id)
    return await stub.Invalidate(request, timeout=TIMEOUT)


async def is_alive(stub: Stub, key: ContextKey, **rest: Any) -> bool:
    """Whether there is a live entry. `rest` are further fields of the request."""
    try:
        await get(stub, key, **rest)
    except aio.AioRpcError as error:
        if error.code() is not StatusCode.NOT_FOUND:
            raise
        return False
    return True
