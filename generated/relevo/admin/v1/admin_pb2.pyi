import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from relevo.v1 import context_pb2 as _context_pb2
from relevo.v1 import store_pb2 as _store_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TopOrder(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TOP_ORDER_UNSPECIFIED: _ClassVar[TopOrder]
    TOP_ORDER_CALLS: _ClassVar[TopOrder]
    TOP_ORDER_BYTES: _ClassVar[TopOrder]
    TOP_ORDER_MISSES: _ClassVar[TopOrder]

class ChangeKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CHANGE_KIND_UNSPECIFIED: _ClassVar[ChangeKind]
    CHANGE_KIND_PUT: _ClassVar[ChangeKind]
    CHANGE_KIND_INVALIDATE: _ClassVar[ChangeKind]
    CHANGE_KIND_INVALIDATE_TENANT: _ClassVar[ChangeKind]
TOP_ORDER_UNSPECIFIED: TopOrder
TOP_ORDER_CALLS: TopOrder
TOP_ORDER_BYTES: TopOrder
TOP_ORDER_MISSES: TopOrder
CHANGE_KIND_UNSPECIFIED: ChangeKind
CHANGE_KIND_PUT: ChangeKind
CHANGE_KIND_INVALIDATE: ChangeKind
CHANGE_KIND_INVALIDATE_TENANT: ChangeKind

class GetStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetStatusResponse(_message.Message):
    __slots__ = ("server", "store")
    SERVER_FIELD_NUMBER: _ClassVar[int]
    STORE_FIELD_NUMBER: _ClassVar[int]
    server: ServerStatus
    store: StoreStatus
    def __init__(self, server: _Optional[_Union[ServerStatus, _Mapping]] = ..., store: _Optional[_Union[StoreStatus, _Mapping]] = ...) -> None: ...

class ServerStatus(_message.Message):
    __slots__ = ("version", "host_name", "process_id", "start_time", "active_calls", "watchers", "subscriptions", "outbox_bytes", "cached_entries", "cached_bytes", "resident_bytes", "worker", "workers")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    HOST_NAME_FIELD_NUMBER: _ClassVar[int]
    PROCESS_ID_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_CALLS_FIELD_NUMBER: _ClassVar[int]
    WATCHERS_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIPTIONS_FIELD_NUMBER: _ClassVar[int]
    OUTBOX_BYTES_FIELD_NUMBER: _ClassVar[int]
    CACHED_ENTRIES_FIELD_NUMBER: _ClassVar[int]
    CACHED_BYTES_FIELD_NUMBER: _ClassVar[int]
    RESIDENT_BYTES_FIELD_NUMBER: _ClassVar[int]
    WORKER_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    version: str
    host_name: str
    process_id: int
    start_time: _timestamp_pb2.Timestamp
    active_calls: int
    watchers: int
    subscriptions: int
    outbox_bytes: int
    cached_entries: int
    cached_bytes: int
    resident_bytes: int
    worker: int
    workers: int
    def __init__(self, version: _Optional[str] = ..., host_name: _Optional[str] = ..., process_id: _Optional[int] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., active_calls: _Optional[int] = ..., watchers: _Optional[int] = ..., subscriptions: _Optional[int] = ..., outbox_bytes: _Optional[int] = ..., cached_entries: _Optional[int] = ..., cached_bytes: _Optional[int] = ..., resident_bytes: _Optional[int] = ..., worker: _Optional[int] = ..., workers: _Optional[int] = ...) -> None: ...

class StoreStatus(_message.Message):
    __slots__ = ("available", "reason", "kind", "version", "latency", "used_bytes", "max_bytes", "eviction_policy", "clock_offset", "partitions")
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    LATENCY_FIELD_NUMBER: _ClassVar[int]
    USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_BYTES_FIELD_NUMBER: _ClassVar[int]
    EVICTION_POLICY_FIELD_NUMBER: _ClassVar[int]
    CLOCK_OFFSET_FIELD_NUMBER: _ClassVar[int]
    PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    available: bool
    reason: str
    kind: str
    version: str
    latency: _duration_pb2.Duration
    used_bytes: int
    max_bytes: int
    eviction_policy: str
    clock_offset: _duration_pb2.Duration
    partitions: int
    def __init__(self, available: bool = ..., reason: _Optional[str] = ..., kind: _Optional[str] = ..., version: _Optional[str] = ..., latency: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., used_bytes: _Optional[int] = ..., max_bytes: _Optional[int] = ..., eviction_policy: _Optional[str] = ..., clock_offset: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., partitions: _Optional[int] = ...) -> None: ...

class ListClientsRequest(_message.Message):
    __slots__ = ("service_name", "page_size", "page_token")
    SERVICE_NAME_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    service_name: str
    page_size: int
    page_token: str
    def __init__(self, service_name: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListClientsResponse(_message.Message):
    __slots__ = ("clients", "next_page_token")
    CLIENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    clients: _containers.RepeatedCompositeFieldContainer[ConnectedClient]
    next_page_token: str
    def __init__(self, clients: _Optional[_Iterable[_Union[ConnectedClient, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ConnectedClient(_message.Message):
    __slots__ = ("client", "principal", "peer", "connect_time", "subscriptions", "outbox_bytes", "lag", "resets", "cache", "report_time")
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    PEER_FIELD_NUMBER: _ClassVar[int]
    CONNECT_TIME_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIPTIONS_FIELD_NUMBER: _ClassVar[int]
    OUTBOX_BYTES_FIELD_NUMBER: _ClassVar[int]
    LAG_FIELD_NUMBER: _ClassVar[int]
    RESETS_FIELD_NUMBER: _ClassVar[int]
    CACHE_FIELD_NUMBER: _ClassVar[int]
    REPORT_TIME_FIELD_NUMBER: _ClassVar[int]
    client: _store_pb2.ClientInfo
    principal: str
    peer: str
    connect_time: _timestamp_pb2.Timestamp
    subscriptions: int
    outbox_bytes: int
    lag: _duration_pb2.Duration
    resets: int
    cache: _store_pb2.CacheReport
    report_time: _timestamp_pb2.Timestamp
    def __init__(self, client: _Optional[_Union[_store_pb2.ClientInfo, _Mapping]] = ..., principal: _Optional[str] = ..., peer: _Optional[str] = ..., connect_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., subscriptions: _Optional[int] = ..., outbox_bytes: _Optional[int] = ..., lag: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., resets: _Optional[int] = ..., cache: _Optional[_Union[_store_pb2.CacheReport, _Mapping]] = ..., report_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListPartitionsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListPartitionsResponse(_message.Message):
    __slots__ = ("partitions",)
    PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    partitions: _containers.RepeatedCompositeFieldContainer[Partition]
    def __init__(self, partitions: _Optional[_Iterable[_Union[Partition, _Mapping]]] = ...) -> None: ...

class Partition(_message.Message):
    __slots__ = ("number", "revision", "log_length", "first_revision", "followed", "followed_revision", "watchers")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    LOG_LENGTH_FIELD_NUMBER: _ClassVar[int]
    FIRST_REVISION_FIELD_NUMBER: _ClassVar[int]
    FOLLOWED_FIELD_NUMBER: _ClassVar[int]
    FOLLOWED_REVISION_FIELD_NUMBER: _ClassVar[int]
    WATCHERS_FIELD_NUMBER: _ClassVar[int]
    number: int
    revision: int
    log_length: int
    first_revision: int
    followed: bool
    followed_revision: int
    watchers: int
    def __init__(self, number: _Optional[int] = ..., revision: _Optional[int] = ..., log_length: _Optional[int] = ..., first_revision: _Optional[int] = ..., followed: bool = ..., followed_revision: _Optional[int] = ..., watchers: _Optional[int] = ...) -> None: ...

class ListKeysRequest(_message.Message):
    __slots__ = ("tenant_id", "scope", "page_size", "page_token")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    scope: str
    page_size: int
    page_token: str
    def __init__(self, tenant_id: _Optional[str] = ..., scope: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListKeysResponse(_message.Message):
    __slots__ = ("keys", "next_page_token")
    KEYS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedCompositeFieldContainer[KeyInfo]
    next_page_token: str
    def __init__(self, keys: _Optional[_Iterable[_Union[KeyInfo, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class KeyInfo(_message.Message):
    __slots__ = ("key", "version", "ttl", "size_bytes")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    key: _context_pb2.ContextKey
    version: int
    ttl: _duration_pb2.Duration
    size_bytes: int
    def __init__(self, key: _Optional[_Union[_context_pb2.ContextKey, _Mapping]] = ..., version: _Optional[int] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class GetUsageRequest(_message.Message):
    __slots__ = ("tenant_id",)
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    def __init__(self, tenant_id: _Optional[str] = ...) -> None: ...

class GetUsageResponse(_message.Message):
    __slots__ = ("scopes", "activity", "quotas")
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    ACTIVITY_FIELD_NUMBER: _ClassVar[int]
    QUOTAS_FIELD_NUMBER: _ClassVar[int]
    scopes: _containers.RepeatedCompositeFieldContainer[ScopeUsage]
    activity: TenantActivity
    quotas: _containers.RepeatedCompositeFieldContainer[QuotaUsage]
    def __init__(self, scopes: _Optional[_Iterable[_Union[ScopeUsage, _Mapping]]] = ..., activity: _Optional[_Union[TenantActivity, _Mapping]] = ..., quotas: _Optional[_Iterable[_Union[QuotaUsage, _Mapping]]] = ...) -> None: ...

class QuotaUsage(_message.Message):
    __slots__ = ("quota", "used", "limit")
    QUOTA_FIELD_NUMBER: _ClassVar[int]
    USED_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    quota: str
    used: int
    limit: int
    def __init__(self, quota: _Optional[str] = ..., used: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class ScopeUsage(_message.Message):
    __slots__ = ("scope", "entries", "bytes")
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    scope: str
    entries: int
    bytes: int
    def __init__(self, scope: _Optional[str] = ..., entries: _Optional[int] = ..., bytes: _Optional[int] = ...) -> None: ...

class TenantActivity(_message.Message):
    __slots__ = ("tenant_id", "calls", "bytes", "misses")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    MISSES_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    calls: int
    bytes: int
    misses: int
    def __init__(self, tenant_id: _Optional[str] = ..., calls: _Optional[int] = ..., bytes: _Optional[int] = ..., misses: _Optional[int] = ...) -> None: ...

class ListTopTenantsRequest(_message.Message):
    __slots__ = ("order_by", "page_size")
    ORDER_BY_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    order_by: TopOrder
    page_size: int
    def __init__(self, order_by: _Optional[_Union[TopOrder, str]] = ..., page_size: _Optional[int] = ...) -> None: ...

class ListTopTenantsResponse(_message.Message):
    __slots__ = ("tenants", "error")
    TENANTS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    tenants: _containers.RepeatedCompositeFieldContainer[TenantActivity]
    error: int
    def __init__(self, tenants: _Optional[_Iterable[_Union[TenantActivity, _Mapping]]] = ..., error: _Optional[int] = ...) -> None: ...

class ExplainRequest(_message.Message):
    __slots__ = ("key", "min_revision")
    KEY_FIELD_NUMBER: _ClassVar[int]
    MIN_REVISION_FIELD_NUMBER: _ClassVar[int]
    key: _context_pb2.ContextKey
    min_revision: int
    def __init__(self, key: _Optional[_Union[_context_pb2.ContextKey, _Mapping]] = ..., min_revision: _Optional[int] = ...) -> None: ...

class ExplainResponse(_message.Message):
    __slots__ = ("context", "revision", "entries", "missing", "origins")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    ORIGINS_FIELD_NUMBER: _ClassVar[int]
    context: _context_pb2.ExecutionContext
    revision: int
    entries: _containers.RepeatedCompositeFieldContainer[_context_pb2.ContextEntry]
    missing: _containers.RepeatedCompositeFieldContainer[_context_pb2.ContextKey]
    origins: _containers.RepeatedCompositeFieldContainer[Origin]
    def __init__(self, context: _Optional[_Union[_context_pb2.ExecutionContext, _Mapping]] = ..., revision: _Optional[int] = ..., entries: _Optional[_Iterable[_Union[_context_pb2.ContextEntry, _Mapping]]] = ..., missing: _Optional[_Iterable[_Union[_context_pb2.ContextKey, _Mapping]]] = ..., origins: _Optional[_Iterable[_Union[Origin, _Mapping]]] = ...) -> None: ...

class Origin(_message.Message):
    __slots__ = ("path", "entry")
    PATH_FIELD_NUMBER: _ClassVar[int]
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    path: str
    entry: int
    def __init__(self, path: _Optional[str] = ..., entry: _Optional[int] = ...) -> None: ...

class ChangesRequest(_message.Message):
    __slots__ = ("key", "tenant", "after_revision", "follow", "limit")
    KEY_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    AFTER_REVISION_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    key: _context_pb2.ContextKey
    tenant: _store_pb2.TenantSelector
    after_revision: int
    follow: bool
    limit: int
    def __init__(self, key: _Optional[_Union[_context_pb2.ContextKey, _Mapping]] = ..., tenant: _Optional[_Union[_store_pb2.TenantSelector, _Mapping]] = ..., after_revision: _Optional[int] = ..., follow: bool = ..., limit: _Optional[int] = ...) -> None: ...

class ChangesResponse(_message.Message):
    __slots__ = ("change", "gap")
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    GAP_FIELD_NUMBER: _ClassVar[int]
    change: Change
    gap: bool
    def __init__(self, change: _Optional[_Union[Change, _Mapping]] = ..., gap: bool = ...) -> None: ...

class Change(_message.Message):
    __slots__ = ("kind", "key", "tenant", "revision", "time", "principal", "fields")
    KIND_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    kind: ChangeKind
    key: _context_pb2.ContextKey
    tenant: _store_pb2.TenantSelector
    revision: int
    time: _timestamp_pb2.Timestamp
    principal: str
    fields: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, kind: _Optional[_Union[ChangeKind, str]] = ..., key: _Optional[_Union[_context_pb2.ContextKey, _Mapping]] = ..., tenant: _Optional[_Union[_store_pb2.TenantSelector, _Mapping]] = ..., revision: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., principal: _Optional[str] = ..., fields: _Optional[_Iterable[str]] = ...) -> None: ...

class ShredTenantRequest(_message.Message):
    __slots__ = ("tenant_id",)
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    def __init__(self, tenant_id: _Optional[str] = ...) -> None: ...

class ShredTenantResponse(_message.Message):
    __slots__ = ("revision", "key_deleted", "erased_count")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    KEY_DELETED_FIELD_NUMBER: _ClassVar[int]
    ERASED_COUNT_FIELD_NUMBER: _ClassVar[int]
    revision: int
    key_deleted: bool
    erased_count: int
    def __init__(self, revision: _Optional[int] = ..., key_deleted: bool = ..., erased_count: _Optional[int] = ...) -> None: ...

class RewrapKeysRequest(_message.Message):
    __slots__ = ("partition",)
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    partition: int
    def __init__(self, partition: _Optional[int] = ...) -> None: ...

class RewrapKeysResponse(_message.Message):
    __slots__ = ("primary_key", "key_count", "rewrapped_count")
    PRIMARY_KEY_FIELD_NUMBER: _ClassVar[int]
    KEY_COUNT_FIELD_NUMBER: _ClassVar[int]
    REWRAPPED_COUNT_FIELD_NUMBER: _ClassVar[int]
    primary_key: str
    key_count: int
    rewrapped_count: int
    def __init__(self, primary_key: _Optional[str] = ..., key_count: _Optional[int] = ..., rewrapped_count: _Optional[int] = ...) -> None: ...
