"""Every way to call a store about a tenant, by the rows of the table in docs/access.md."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from grpc import aio
from relevo.admin.v1 import admin_pb2, admin_pb2_grpc
from relevo.v1 import store_pb2, store_pb2_grpc
from relevo.v1.context_pb2 import ContextKey
from relevo.v1.store_pb2 import GetRequest, TenantSelector

from support.clients.calls import TIMEOUT, context, key, masked
from support.failures import Failure, failure_in

SCOPE, LAYER = "agent_config", "collection_config"
"""The scope of the keys, and of the layer of the entry that has one."""


class Store:
    """The two stubs, for the calls of one caller."""

    def __init__(self, channel: aio.Channel, *metadata: tuple[str, str]) -> None:
        untyped: Any = channel
        self.store: Any = store_pb2_grpc.ContextStoreStub(untyped)
        self.admin: Any = admin_pb2_grpc.AdminStub(untyped)
        self.rest: Any = {"metadata": metadata, "timeout": TIMEOUT}


Way = Callable[[Store, str], Awaitable[object]]
"""Calls a store about a tenant."""


def named(tenant: str, scope: str = SCOPE) -> Any:
    """The key that is asked for."""
    return key("c", tenant=tenant, scope=scope)


def composed(tenant: str) -> Any:
    """The key of an entry with a layer in another scope."""
    return key("composed", tenant=tenant, scope=SCOPE)


async def write_composed(store: Store, tenant: str) -> None:
    """Write the entry with a layer, and its layer."""
    layer = named(tenant, LAYER)
    await put(store, tenant, key=layer)
    await put(store, tenant, key=composed(tenant), context=context(includes=[layer]))


async def one_result(store: Store, request: GetRequest) -> object:
    """The only result of a BatchGet. Raises as a Get does."""
    batch = store_pb2.BatchGetRequest(requests=[request])
    (result,) = (await store.store.BatchGet(batch, **store.rest)).results
    if result.HasField("error"):
        raise RefusedError(failure_in(result.error))
    return result.response


class RefusedError(Exception):
    """The error of a result in a batch."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


async def watched(store: Store, kind: str, tenant: str) -> object:
    """The answer of a stream that asks for something, and then subscribes if it did not.

    If this is declined, as for a key that the caller may not read, the store is asked for the
    entry, as a client does.
    """
    asked = store_pb2.WatchRequest()
    getattr(asked, kind).key.CopyFrom(named(tenant))
    follow = store_pb2.WatchRequest()
    follow.subscribe.key.CopyFrom(named(tenant))
    follow.subscribe.number = 1
    call = store.store.Watch(
        iter([follow] if kind == "subscribe" else [asked, follow]), **store.rest
    )
    while (answer := await call.read()).answers != 1:
        pass
    call.cancel()
    if kind == "unsubscribe" or not answer.invalidated.is_changed:
        return answer
    await store.store.Get(GetRequest(key=named(tenant)), **store.rest)
    raise AssertionError("a key that may be read was declined")


async def first(stream: Any) -> object:
    """The first message of a stream, or its end."""
    return await stream.read()


def selector(tenant: str, scope: str = "") -> TenantSelector:
    """A tenant, or one of its scopes."""
    return TenantSelector(tenant_id=tenant, scope=scope)


def put(store: Store, tenant: str, **rest: Any) -> Awaitable[object]:
    """A Put of an empty context."""
    fields: dict[str, Any] = {"key": named(tenant), "context": context(), **rest}
    result: Awaitable[object] = store.store.Put(store_pb2.PutRequest(**fields), **store.rest)
    return result


def snapshot(store: Store, key: ContextKey) -> Awaitable[object]:
    """A Snapshot of an entry."""
    request = store_pb2.SnapshotRequest(key=key)
    result: Awaitable[object] = store.store.Snapshot(request, **store.rest)
    return result


def invalidate(store: Store, **target: Any) -> Awaitable[object]:
    """An Invalidate."""
    request = store_pb2.InvalidateRequest(**target)
    result: Awaitable[object] = store.store.Invalidate(request, **store.rest)
    return result


def admin(store: Store, call: str, request: Any) -> Awaitable[object]:
    """A unary call of the Admin service."""
    result: Awaitable[object] = getattr(store.admin, call)(request, **store.rest)
    return result


def changes(store: Store, **target: Any) -> Awaitable[object]:
    """The first change."""
    return first(store.admin.Changes(admin_pb2.ChangesRequest(**target), **store.rest))


WAYS: Mapping[tuple[str, str], Way] = {
    ("Get", "a key"): lambda s, t: s.store.Get(GetRequest(key=named(t)), **s.rest),
    ("Get", "the layers of a key's entry"): lambda s, t: s.store.Get(
        GetRequest(key=composed(t), include_layers=True), **s.rest
    ),
    ("BatchGet", "a key"): lambda s, t: one_result(s, GetRequest(key=named(t))),
    ("BatchGet", "the layers of a key's entry"): lambda s, t: one_result(
        s, GetRequest(key=composed(t), include_layers=True)
    ),
    ("Put", "a key"): put,
    ("Put", "a key with a mask"): lambda s, t: put(s, t, update_mask=masked("user_id")),
    ("Put", "a key of a snapshot"): lambda s, t: put(s, t, key=named(t, "snapshot")),
    ("Invalidate", "keys"): lambda s, t: invalidate(s, keys=store_pb2.ContextKeys(keys=[named(t)])),
    ("Invalidate", "a tenant's scope"): lambda s, t: invalidate(s, tenant=selector(t, SCOPE)),
    ("Invalidate", "a tenant"): lambda s, t: invalidate(s, tenant=selector(t)),
    ("Lease", "a key"): lambda s, t: s.store.Lease(store_pb2.LeaseRequest(key=named(t)), **s.rest),
    ("Release", "a key"): lambda s, t: s.store.Release(
        store_pb2.ReleaseRequest(key=named(t), lease_token="t"),  # noqa: S106
        **s.rest,
    ),
    ("Snapshot", "a key"): lambda s, t: snapshot(s, named(t)),
    ("Snapshot", "the layers of a key's entry"): lambda s, t: snapshot(s, composed(t)),
    ("Snapshot", "the snapshot of a key's entry"): lambda s, t: snapshot(s, named(t)),
    ("Watch", "a key to subscribe to"): lambda s, t: watched(s, "subscribe", t),
    ("Watch", "a key to unsubscribe from"): lambda s, t: watched(s, "unsubscribe", t),
    ("Watch", "a key to touch"): lambda s, t: watched(s, "touch", t),
    ("Explain", "a key"): lambda s, t: admin(s, "Explain", admin_pb2.ExplainRequest(key=named(t))),
    ("Explain", "the layers of a key's entry"): lambda s, t: admin(
        s, "Explain", admin_pb2.ExplainRequest(key=composed(t))
    ),
    ("ListKeys", "a tenant's scope"): lambda s, t: admin(
        s, "ListKeys", admin_pb2.ListKeysRequest(tenant_id=t, scope=SCOPE)
    ),
    ("ListKeys", "a tenant"): lambda s, t: admin(
        s, "ListKeys", admin_pb2.ListKeysRequest(tenant_id=t)
    ),
    ("GetUsage", "a tenant"): lambda s, t: admin(
        s, "GetUsage", admin_pb2.GetUsageRequest(tenant_id=t)
    ),
    ("Changes", "a key"): lambda s, t: changes(s, key=named(t)),
    ("Changes", "a tenant's scope"): lambda s, t: changes(s, tenant=selector(t, SCOPE)),
    ("Changes", "a tenant"): lambda s, t: changes(s, tenant=selector(t)),
    ("ListClients", "all tenants"): lambda s, _: admin(
        s, "ListClients", admin_pb2.ListClientsRequest()
    ),
    ("ListTopTenants", "all tenants"): lambda s, _: admin(
        s, "ListTopTenants", admin_pb2.ListTopTenantsRequest()
    ),
    ("GetStatus", "nothing"): lambda s, _: admin(s, "GetStatus", admin_pb2.GetStatusRequest()),
    ("ListPartitions", "nothing"): lambda s, _: admin(
        s, "ListPartitions", admin_pb2.ListPartitionsRequest()
    ),
}
"""How each row of the table is called."""
