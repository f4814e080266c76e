import datetime

from google.protobuf import any_pb2 as _any_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
from relevo.v1 import context_pb2 as _context_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ErrorReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ERROR_REASON_UNSPECIFIED: _ClassVar[ErrorReason]
    ERROR_REASON_INVALID_FIELD: _ClassVar[ErrorReason]
    ERROR_REASON_REQUEST_ID_REUSED: _ClassVar[ErrorReason]
    ERROR_REASON_NO_ENTRY: _ClassVar[ErrorReason]
    ERROR_REASON_VERSION_MISMATCH: _ClassVar[ErrorReason]
    ERROR_REASON_ENTRY_EXISTS: _ClassVar[ErrorReason]
    ERROR_REASON_CONTENTION: _ClassVar[ErrorReason]
    ERROR_REASON_LEASE_LOST: _ClassVar[ErrorReason]
    ERROR_REASON_STORE_BEHIND: _ClassVar[ErrorReason]
    ERROR_REASON_CONTEXT_TOO_LARGE: _ClassVar[ErrorReason]
    ERROR_REASON_RESPONSE_TOO_LARGE: _ClassVar[ErrorReason]
    ERROR_REASON_TOO_MANY_REQUESTS: _ClassVar[ErrorReason]
    ERROR_REASON_STORE_FULL: _ClassVar[ErrorReason]
    ERROR_REASON_STORE_UNAVAILABLE: _ClassVar[ErrorReason]
    ERROR_REASON_UNAUTHENTICATED: _ClassVar[ErrorReason]
    ERROR_REASON_TENANT_DENIED: _ClassVar[ErrorReason]
    ERROR_REASON_CORRUPT_ENTRY: _ClassVar[ErrorReason]
    ERROR_REASON_NOT_IMPLEMENTED: _ClassVar[ErrorReason]
    ERROR_REASON_SERVER_STOPPING: _ClassVar[ErrorReason]
    ERROR_REASON_INTERNAL: _ClassVar[ErrorReason]
    ERROR_REASON_LEASE_HELD: _ClassVar[ErrorReason]
    ERROR_REASON_ROLE_DENIED: _ClassVar[ErrorReason]
    ERROR_REASON_QUOTA_EXCEEDED: _ClassVar[ErrorReason]
    ERROR_REASON_SCHEMA_VIOLATION: _ClassVar[ErrorReason]

class Consistency(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONSISTENCY_UNSPECIFIED: _ClassVar[Consistency]
    CONSISTENCY_STRONG: _ClassVar[Consistency]
    CONSISTENCY_CACHED: _ClassVar[Consistency]

class ResetReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RESET_REASON_UNSPECIFIED: _ClassVar[ResetReason]
    RESET_REASON_LOG_TRIMMED: _ClassVar[ResetReason]
    RESET_REASON_ORDER_CHANGED: _ClassVar[ResetReason]
    RESET_REASON_SLOW_WATCHER: _ClassVar[ResetReason]
ERROR_REASON_UNSPECIFIED: ErrorReason
ERROR_REASON_INVALID_FIELD: ErrorReason
ERROR_REASON_REQUEST_ID_REUSED: ErrorReason
ERROR_REASON_NO_ENTRY: ErrorReason
ERROR_REASON_VERSION_MISMATCH: ErrorReason
ERROR_REASON_ENTRY_EXISTS: ErrorReason
ERROR_REASON_CONTENTION: ErrorReason
ERROR_REASON_LEASE_LOST: ErrorReason
ERROR_REASON_STORE_BEHIND: ErrorReason
ERROR_REASON_CONTEXT_TOO_LARGE: ErrorReason
ERROR_REASON_RESPONSE_TOO_LARGE: ErrorReason
ERROR_REASON_TOO_MANY_REQUESTS: ErrorReason
ERROR_REASON_STORE_FULL: ErrorReason
ERROR_REASON_STORE_UNAVAILABLE: ErrorReason
ERROR_REASON_UNAUTHENTICATED: ErrorReason
ERROR_REASON_TENANT_DENIED: ErrorReason
ERROR_REASON_CORRUPT_ENTRY: ErrorReason
ERROR_REASON_NOT_IMPLEMENTED: ErrorReason
ERROR_REASON_SERVER_STOPPING: ErrorReason
ERROR_REASON_INTERNAL: ErrorReason
ERROR_REASON_LEASE_HELD: ErrorReason
ERROR_REASON_ROLE_DENIED: ErrorReason
ERROR_REASON_QUOTA_EXCEEDED: ErrorReason
ERROR_REASON_SCHEMA_VIOLATION: ErrorReason
CONSISTENCY_UNSPECIFIED: Consistency
CONSISTENCY_STRONG: Consistency
CONSISTENCY_CACHED: Consistency
RESET_REASON_UNSPECIFIED: ResetReason
RESET_REASON_LOG_TRIMMED: ResetReason
RESET_REASON_ORDER_CHANGED: ResetReason
RESET_REASON_SLOW_WATCHER: ResetReason

class GetRequest(_message.Message):
    __slots__ = ("key", "min_revision", "consistency", "include_layers", "known_version")
    KEY_FIELD_NUMBER: _ClassVar[int]
    MIN_REVISION_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_LAYERS_FIELD_NUMBER: _ClassVar[int]
    KNOWN_VERSION_FIELD_NUMBER: _ClassVar[int]
    key: _context_pb2.ContextKey
    min_revision: int
    consistency: Consistency
    include_layers: bool
    known_version: int
    def __init__(self, key: _Optional[_Union[_context_pb2.ContextKey, _Mapping]] = ..., min_revision: _Optional[int] = ..., consistency: _Optional[_Union[Consistency, str]] = ..., include_layers: bool = ..., known_version: _Optional[int] = ...) -> None: ...

class GetResponse(_message.Message):
    __slots__ = ("entry", "layers", "revision", "not_modified")
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    NOT_MODIFIED_FIELD_NUMBER: _ClassVar[int]
    entry: _context_pb2.ContextEntry
    layers: _containers.RepeatedCompositeFieldContainer[_context_pb2.ContextEntry]
    revision: int
    not_modified: bool
    def __init__(self, entry: _Optional[_Union[_context_pb2.ContextEntry, _Mapping]] = ..., layers: _Optional[_Iterable[_Union[_context_pb2.ContextEntry, _Mapping]]] = ..., revision: _Optional[int] = ..., not_modified: bool = ...) -> None: ...

class BatchGetRequest(_message.Message):
    __slots__ = ("requests",)
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[GetRequest]
    def __init__(self, requests: _Optional[_Iterable[_Union[GetRequest, _Mapping]]] = ...) -> None: ...

class BatchGetResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[BatchGetResult]
    def __init__(self, results: _Optional[_Iterable[_Union[BatchGetResult, _Mapping]]] = ...) -> None: ...

class BatchGetResult(_message.Message):
    __slots__ = ("response", "error")
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    response: GetResponse
    error: Error
    def __init__(self, response: _Optional[_Union[GetResponse, _Mapping]] = ..., error: _Optional[_Union[Error, _Mapping]] = ...) -> None: ...

class Error(_message.Message):
    __slots__ = ("code", "message", "details")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    details: _containers.RepeatedCompositeFieldContainer[_any_pb2.Any]
    def __init__(self, code: _Optional[int] = ..., message: _Optional[str] = ..., details: _Optional[_Iterable[_Union[_any_pb2.Any, _Mapping]]] = ...) -> None: ...

class PutRequest(_message.Message):
    __slots__ = ("key", "context", "ttl", "update_mask", "if_version", "if_absent", "lease_token", "request_id", "include_layers")
    KEY_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    IF_VERSION_FIELD_NUMBER: _ClassVar[int]
    IF_ABSENT_FIELD_NUMBER: _ClassVar[int]
    LEASE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_LAYERS_FIELD_NUMBER: _ClassVar[int]
    key: _context_pb2.ContextKey
    context: _context_pb2.ExecutionContext
    ttl: _duration_pb2.Duration
    update_mask: _field_mask_pb2.FieldMask
    if_version: int
    if_absent: bool
    lease_token: str
    request_id: str
    include_layers: bool
    def __init__(self, key: _Optional[_Union[_context_pb2.ContextKey, _Mapping]] = ..., context: _Optional[_Union[_context_pb2.ExecutionContext, _Mapping]] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., if_version: _Optional[int] = ..., if_absent: bool = ..., lease_token: _Optional[str] = ..., request_id: _Optional[str] = ..., include_layers: bool = ...) -> None: ...

class PutResponse(_message.Message):
    __slots__ = ("entry", "revision", "current")
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    CURRENT_FIELD_NUMBER: _ClassVar[int]
    entry: _context_pb2.ContextEntry
    revision: int
    current: GetResponse
    def __init__(self, entry: _Optional[_Union[_context_pb2.ContextEntry, _Mapping]] = ..., revision: _Optional[int] = ..., current: _Optional[_Union[GetResponse, _Mapping]] = ...) -> None: ...

class InvalidateRequest(_message.Message):
    __slots__ = ("keys", "tenant", "request_id")
    KEYS_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    keys: ContextKeys
    tenant: TenantSelector
    request_id: str
    def __init__(self, keys: _Optional[_Union[ContextKeys, _Mapping]] = ..., tenant: _Optional[_Union[TenantSelector, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class ContextKeys(_message.Message):
    __slots__ = ("keys",)
    KEYS_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedCompositeFieldContainer[_context_pb2.ContextKey]
    def __init__(self, keys: _Optional[_Iterable[_Union[_context_pb2.ContextKey, _Mapping]]] = ...) -> None: ...

class TenantSelector(_message.Message):
    __slots__ = ("tenant_id", "scope")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    scope: str
    def __init__(self, tenant_id: _Optional[str] = ..., scope: _Optional[str] = ...) -> None: ...

class InvalidateResponse(_message.Message):
    __slots__ = ("revision", "invalidated_count")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    INVALIDATED_COUNT_FIELD_NUMBER: _ClassVar[int]
    revision: int
    invalidated_count: int
    def __init__(self, revision: _Optional[int] = ..., invalidated_count: _Optional[int] = ...) -> None: ...

class LeaseRequest(_message.Message):
    __slots__ = ("key", "wait", "renew_version", "request_id", "include_layers")
    KEY_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    RENEW_VERSION_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_LAYERS_FIELD_NUMBER: _ClassVar[int]
    key: _context_pb2.ContextKey
    wait: _duration_pb2.Duration
    renew_version: int
    request_id: str
    include_layers: bool
    def __init__(self, key: _Optional[_Union[_context_pb2.ContextKey, _Mapping]] = ..., wait: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., renew_version: _Optional[int] = ..., request_id: _Optional[str] = ..., include_layers: bool = ...) -> None: ...

class LeaseResponse(_message.Message):
    __slots__ = ("entry", "lease", "current", "revision")
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    CURRENT_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    entry: _context_pb2.ContextEntry
    lease: Lease
    current: GetResponse
    revision: int
    def __init__(self, entry: _Optional[_Union[_context_pb2.ContextEntry, _Mapping]] = ..., lease: _Optional[_Union[Lease, _Mapping]] = ..., current: _Optional[_Union[GetResponse, _Mapping]] = ..., revision: _Optional[int] = ...) -> None: ...

class Lease(_message.Message):
    __slots__ = ("token", "ttl")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    token: str
    ttl: _duration_pb2.Duration
    def __init__(self, token: _Optional[str] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class ReleaseRequest(_message.Message):
    __slots__ = ("key", "lease_token")
    KEY_FIELD_NUMBER: _ClassVar[int]
    LEASE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    key: _context_pb2.ContextKey
    lease_token: str
    def __init__(self, key: _Optional[_Union[_context_pb2.ContextKey, _Mapping]] = ..., lease_token: _Optional[str] = ...) -> None: ...

class ReleaseResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SnapshotRequest(_message.Message):
    __slots__ = ("key", "min_revision", "consistency", "ttl")
    KEY_FIELD_NUMBER: _ClassVar[int]
    MIN_REVISION_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    key: _context_pb2.ContextKey
    min_revision: int
    consistency: Consistency
    ttl: _duration_pb2.Duration
    def __init__(self, key: _Optional[_Union[_context_pb2.ContextKey, _Mapping]] = ..., min_revision: _Optional[int] = ..., consistency: _Optional[_Union[Consistency, str]] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class SnapshotResponse(_message.Message):
    __slots__ = ("entry", "missing", "revision")
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    entry: _context_pb2.ContextEntry
    missing: _containers.RepeatedCompositeFieldContainer[_context_pb2.ContextKey]
    revision: int
    def __init__(self, entry: _Optional[_Union[_context_pb2.ContextEntry, _Mapping]] = ..., missing: _Optional[_Iterable[_Union[_context_pb2.ContextKey, _Mapping]]] = ..., revision: _Optional[int] = ...) -> None: ...

class WatchRequest(_message.Message):
    __slots__ = ("subscribe", "unsubscribe", "touch", "ping", "batch", "client", "report", "accepts_batches")
    SUBSCRIBE_FIELD_NUMBER: _ClassVar[int]
    UNSUBSCRIBE_FIELD_NUMBER: _ClassVar[int]
    TOUCH_FIELD_NUMBER: _ClassVar[int]
    PING_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    ACCEPTS_BATCHES_FIELD_NUMBER: _ClassVar[int]
    subscribe: Subscribe
    unsubscribe: Unsubscribe
    touch: Touch
    ping: Ping
    batch: RequestBatch
    client: ClientInfo
    report: CacheReport
    accepts_batches: bool
    def __init__(self, subscribe: _Optional[_Union[Subscribe, _Mapping]] = ..., unsubscribe: _Optional[_Union[Unsubscribe, _Mapping]] = ..., touch: _Optional[_Union[Touch, _Mapping]] = ..., ping: _Optional[_Union[Ping, _Mapping]] = ..., batch: _Optional[_Union[RequestBatch, _Mapping]] = ..., client: _Optional[_Union[ClientInfo, _Mapping]] = ..., report: _Optional[_Union[CacheReport, _Mapping]] = ..., accepts_batches: bool = ...) -> None: ...

class RequestBatch(_message.Message):
    __slots__ = ("requests",)
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[WatchRequest]
    def __init__(self, requests: _Optional[_Iterable[_Union[WatchRequest, _Mapping]]] = ...) -> None: ...

class ClientInfo(_message.Message):
    __slots__ = ("service_name", "service_version", "host_name", "process_id", "library")
    SERVICE_NAME_FIELD_NUMBER: _ClassVar[int]
    SERVICE_VERSION_FIELD_NUMBER: _ClassVar[int]
    HOST_NAME_FIELD_NUMBER: _ClassVar[int]
    PROCESS_ID_FIELD_NUMBER: _ClassVar[int]
    LIBRARY_FIELD_NUMBER: _ClassVar[int]
    service_name: str
    service_version: str
    host_name: str
    process_id: int
    library: str
    def __init__(self, service_name: _Optional[str] = ..., service_version: _Optional[str] = ..., host_name: _Optional[str] = ..., process_id: _Optional[int] = ..., library: _Optional[str] = ...) -> None: ...

class CacheReport(_message.Message):
    __slots__ = ("entries", "bytes", "hits", "misses", "evictions", "pushes", "reconnects", "staleness")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    HITS_FIELD_NUMBER: _ClassVar[int]
    MISSES_FIELD_NUMBER: _ClassVar[int]
    EVICTIONS_FIELD_NUMBER: _ClassVar[int]
    PUSHES_FIELD_NUMBER: _ClassVar[int]
    RECONNECTS_FIELD_NUMBER: _ClassVar[int]
    STALENESS_FIELD_NUMBER: _ClassVar[int]
    entries: int
    bytes: int
    hits: int
    misses: int
    evictions: int
    pushes: int
    reconnects: int
    staleness: _duration_pb2.Duration
    def __init__(self, entries: _Optional[int] = ..., bytes: _Optional[int] = ..., hits: _Optional[int] = ..., misses: _Optional[int] = ..., evictions: _Optional[int] = ..., pushes: _Optional[int] = ..., reconnects: _Optional[int] = ..., staleness: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Ping(_message.Message):
    __slots__ = ("number", "sign_interval")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    SIGN_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    number: int
    sign_interval: _duration_pb2.Duration
    def __init__(self, number: _Optional[int] = ..., sign_interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Subscribe(_message.Message):
    __slots__ = ("key", "known_version", "position", "number")
    KEY_FIELD_NUMBER: _ClassVar[int]
    KNOWN_VERSION_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    key: _context_pb2.ContextKey
    known_version: int
    position: int
    number: int
    def __init__(self, key: _Optional[_Union[_context_pb2.ContextKey, _Mapping]] = ..., known_version: _Optional[int] = ..., position: _Optional[int] = ..., number: _Optional[int] = ...) -> None: ...

class Unsubscribe(_message.Message):
    __slots__ = ("key",)
    KEY_FIELD_NUMBER: _ClassVar[int]
    key: _context_pb2.ContextKey
    def __init__(self, key: _Optional[_Union[_context_pb2.ContextKey, _Mapping]] = ...) -> None: ...

class Touch(_message.Message):
    __slots__ = ("key",)
    KEY_FIELD_NUMBER: _ClassVar[int]
    key: _context_pb2.ContextKey
    def __init__(self, key: _Optional[_Union[_context_pb2.ContextKey, _Mapping]] = ...) -> None: ...

class WatchResponse(_message.Message):
    __slots__ = ("entry", "invalidated", "progress", "reset", "batch", "answers", "positions", "accepts_batches", "clock")
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    INVALIDATED_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    RESET_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    ACCEPTS_BATCHES_FIELD_NUMBER: _ClassVar[int]
    CLOCK_FIELD_NUMBER: _ClassVar[int]
    entry: _context_pb2.ContextEntry
    invalidated: Invalidated
    progress: Progress
    reset: Reset
    batch: Batch
    answers: int
    positions: _containers.RepeatedCompositeFieldContainer[Position]
    accepts_batches: bool
    clock: ServerClock
    def __init__(self, entry: _Optional[_Union[_context_pb2.ContextEntry, _Mapping]] = ..., invalidated: _Optional[_Union[Invalidated, _Mapping]] = ..., progress: _Optional[_Union[Progress, _Mapping]] = ..., reset: _Optional[_Union[Reset, _Mapping]] = ..., batch: _Optional[_Union[Batch, _Mapping]] = ..., answers: _Optional[int] = ..., positions: _Optional[_Iterable[_Union[Position, _Mapping]]] = ..., accepts_batches: bool = ..., clock: _Optional[_Union[ServerClock, _Mapping]] = ...) -> None: ...

class ServerClock(_message.Message):
    __slots__ = ("ping", "time")
    PING_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    ping: int
    time: int
    def __init__(self, ping: _Optional[int] = ..., time: _Optional[int] = ...) -> None: ...

class Batch(_message.Message):
    __slots__ = ("messages",)
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedCompositeFieldContainer[WatchResponse]
    def __init__(self, messages: _Optional[_Iterable[_Union[WatchResponse, _Mapping]]] = ...) -> None: ...

class Invalidated(_message.Message):
    __slots__ = ("key", "tenant", "revision", "partition", "is_changed")
    KEY_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    IS_CHANGED_FIELD_NUMBER: _ClassVar[int]
    key: _context_pb2.ContextKey
    tenant: TenantSelector
    revision: int
    partition: int
    is_changed: bool
    def __init__(self, key: _Optional[_Union[_context_pb2.ContextKey, _Mapping]] = ..., tenant: _Optional[_Union[TenantSelector, _Mapping]] = ..., revision: _Optional[int] = ..., partition: _Optional[int] = ..., is_changed: bool = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("positions",)
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    positions: _containers.RepeatedCompositeFieldContainer[Position]
    def __init__(self, positions: _Optional[_Iterable[_Union[Position, _Mapping]]] = ...) -> None: ...

class Position(_message.Message):
    __slots__ = ("partition", "revision", "ping", "time")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    PING_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    partition: int
    revision: int
    ping: int
    time: int
    def __init__(self, partition: _Optional[int] = ..., revision: _Optional[int] = ..., ping: _Optional[int] = ..., time: _Optional[int] = ...) -> None: ...

class Reset(_message.Message):
    __slots__ = ("partition", "reason")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    partition: int
    reason: ResetReason
    def __init__(self, partition: _Optional[int] = ..., reason: _Optional[_Union[ResetReason, str]] = ...) -> None: ...
