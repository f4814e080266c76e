"""Requests of every method, with arbitrary values in their fields."""

from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from hypothesis import strategies as st
from relevo.admin.v1.admin_pb2 import (
    ChangesRequest,
    ExplainRequest,
    GetStatusRequest,
    GetUsageRequest,
    ListClientsRequest,
    ListKeysRequest,
    ListPartitionsRequest,
    ListTopTenantsRequest,
    RewrapKeysRequest,
    ShredTenantRequest,
)
from relevo.v1.context_pb2 import ContextKey
from relevo.v1.store_pb2 import (
    BatchGetRequest,
    CacheReport,
    ClientInfo,
    ContextKeys,
    GetRequest,
    InvalidateRequest,
    LeaseRequest,
    Ping,
    PutRequest,
    ReleaseRequest,
    SnapshotRequest,
    Subscribe,
    TenantSelector,
    Touch,
    Unsubscribe,
    WatchRequest,
)
from support.clients.calls import context, key

numbers = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([0, 1, -1, 2**63 - 1, -(2**63)])
small = st.integers(-(2**31), 2**31 - 1)
names = st.sampled_from(["acme", "c1", "", "\0", "é" * 128, "x" * 257, "%:"])
keys = st.builds(ContextKey, scope=names, tenant_id=names, id=names) | st.just(key())
times = st.fixed_dictionaries({"seconds": numbers, "nanos": small})
values: st.SearchStrategy[Value] = st.recursive(
    st.builds(Value, number_value=st.floats())
    | st.builds(Value)
    | st.builds(Value, null_value=st.integers(0, 3))
    | st.builds(Value, string_value=names),
    lambda inner: (
        st.builds(
            Value, struct_value=st.builds(Struct, fields=st.dictionaries(names, inner, max_size=3))
        )
        | st.builds(Value, list_value=st.builds(ListValue, values=st.lists(inner, max_size=3)))
    ),
    max_leaves=8,
)
contexts = st.builds(
    context,
    tenant_id=names,
    user_id=names,
    llm_config=st.builds(Struct, fields=st.dictionaries(names, values, max_size=3)),
    includes=st.lists(keys, max_size=3),
    create_time=st.none() | times,
    update_time=st.none() | times,
)
gets = st.builds(
    GetRequest,
    key=keys,
    min_revision=numbers,
    consistency=st.integers(0, 3),
    include_layers=st.booleans(),
    known_version=numbers,
)
paths = st.lists(names | st.sampled_from(["user_id", "llm_config.a", "*"]), max_size=2)
put_fields: dict[str, st.SearchStrategy[Any]] = {
    "key": keys,
    "context": st.none() | contexts,
    "ttl": st.none() | times,
    "update_mask": st.builds(FieldMask, paths=paths),
    "request_id": names,
}
puts = (
    st.builds(PutRequest, **put_fields)
    | st.builds(PutRequest, if_version=numbers, **put_fields)
    | st.builds(PutRequest, if_absent=st.booleans(), **put_fields)
    | st.builds(PutRequest, lease_token=names, **put_fields)
)
invalidates = st.builds(
    InvalidateRequest, keys=st.builds(ContextKeys, keys=st.lists(keys, max_size=3))
) | st.builds(InvalidateRequest, tenant=st.builds(TenantSelector, tenant_id=names, scope=names))
leases = st.builds(
    LeaseRequest,
    key=keys,
    # Short, because a test may wait for the whole of it.
    wait=st.none() | st.fixed_dictionaries({"seconds": st.integers(-(2**63), 0), "nanos": small}),
    renew_version=numbers,
    request_id=names,
)
releases = st.builds(ReleaseRequest, key=keys, lease_token=names)
watches = (
    st.builds(
        WatchRequest,
        subscribe=st.builds(
            Subscribe, key=keys, known_version=numbers, position=numbers, number=numbers
        ),
    )
    | st.builds(WatchRequest, unsubscribe=st.builds(Unsubscribe, key=keys))
    | st.builds(WatchRequest, touch=st.builds(Touch, key=keys))
    | st.builds(
        WatchRequest,
        ping=st.builds(Ping, number=numbers),
        client=st.none() | st.builds(ClientInfo, service_name=names, process_id=numbers),
        report=st.none() | st.builds(CacheReport, hits=numbers, staleness=st.none() | times),
    )
)
# A token that a server has given is among the names by chance only.
key_lists = st.builds(
    ListKeysRequest, tenant_id=names, scope=names, page_size=small, page_token=names
)
selectors = st.builds(TenantSelector, tenant_id=names, scope=names)
change_fields: dict[str, st.SearchStrategy[Any]] = {"after_revision": numbers, "limit": small}
changes = st.builds(ChangesRequest, key=keys, **change_fields) | st.builds(
    ChangesRequest, tenant=selectors, **change_fields
)
STRATEGIES: dict[str, st.SearchStrategy[Any]] = {
    "Get": gets,
    "BatchGet": st.builds(BatchGetRequest, requests=st.lists(gets, max_size=3)),
    "Put": puts,
    "Invalidate": invalidates,
    "Lease": leases,
    "Release": releases,
    "Snapshot": st.builds(
        SnapshotRequest,
        key=keys,
        min_revision=numbers,
        consistency=st.integers(0, 3),
        ttl=st.none() | times,
    ),
    "Watch": watches,
    "GetStatus": st.builds(GetStatusRequest),
    "ListPartitions": st.builds(ListPartitionsRequest),
    "Explain": st.builds(ExplainRequest, key=keys, min_revision=numbers),
    "GetUsage": st.builds(GetUsageRequest, tenant_id=names),
    "ListTopTenants": st.builds(ListTopTenantsRequest, order_by=st.integers(0, 5), page_size=small),
    "ListClients": st.builds(
        ListClientsRequest, service_name=names, page_size=small, page_token=names
    ),
    "ListKeys": key_lists,
    "Changes": changes,
    "ShredTenant": st.builds(ShredTenantRequest, tenant_id=names),
    "RewrapKeys": st.builds(RewrapKeysRequest, partition=small),
}
