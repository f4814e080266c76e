import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ExecutionContext(_message.Message):
    __slots__ = ("context_id", "tenant_id", "agent_id", "tenant_tier", "conversation_id", "session_id", "user_id", "llm_config", "embedding_config", "rag_config", "agent_config", "metadata", "rate_limits", "includes", "create_time", "update_time", "composed_from")
    CONTEXT_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_TIER_FIELD_NUMBER: _ClassVar[int]
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    LLM_CONFIG_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_CONFIG_FIELD_NUMBER: _ClassVar[int]
    RAG_CONFIG_FIELD_NUMBER: _ClassVar[int]
    AGENT_CONFIG_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    RATE_LIMITS_FIELD_NUMBER: _ClassVar[int]
    INCLUDES_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    COMPOSED_FROM_FIELD_NUMBER: _ClassVar[int]
    context_id: str
    tenant_id: str
    agent_id: str
    tenant_tier: str
    conversation_id: str
    session_id: str
    user_id: str
    llm_config: _struct_pb2.Struct
    embedding_config: _struct_pb2.Struct
    rag_config: _struct_pb2.Struct
    agent_config: _struct_pb2.Struct
    metadata: _struct_pb2.Struct
    rate_limits: _struct_pb2.Struct
    includes: _containers.RepeatedCompositeFieldContainer[ContextKey]
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    composed_from: _containers.RepeatedCompositeFieldContainer[ContextRef]
    def __init__(self, context_id: _Optional[str] = ..., tenant_id: _Optional[str] = ..., agent_id: _Optional[str] = ..., tenant_tier: _Optional[str] = ..., conversation_id: _Optional[str] = ..., session_id: _Optional[str] = ..., user_id: _Optional[str] = ..., llm_config: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., embedding_config: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., rag_config: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., agent_config: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., metadata: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., rate_limits: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., includes: _Optional[_Iterable[_Union[ContextKey, _Mapping]]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., composed_from: _Optional[_Iterable[_Union[ContextRef, _Mapping]]] = ...) -> None: ...

class ContextKey(_message.Message):
    __slots__ = ("scope", "tenant_id", "id")
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    scope: str
    tenant_id: str
    id: str
    def __init__(self, scope: _Optional[str] = ..., tenant_id: _Optional[str] = ..., id: _Optional[str] = ...) -> None: ...

class ContextRef(_message.Message):
    __slots__ = ("key", "revision", "signature")
    KEY_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    key: ContextKey
    revision: int
    signature: str
    def __init__(self, key: _Optional[_Union[ContextKey, _Mapping]] = ..., revision: _Optional[int] = ..., signature: _Optional[str] = ...) -> None: ...

class ContextEntry(_message.Message):
    __slots__ = ("key", "context", "version", "partition", "expire_time", "ttl", "signature")
    KEY_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    key: ContextKey
    context: ExecutionContext
    version: int
    partition: int
    expire_time: _timestamp_pb2.Timestamp
    ttl: _duration_pb2.Duration
    signature: str
    def __init__(self, key: _Optional[_Union[ContextKey, _Mapping]] = ..., context: _Optional[_Union[ExecutionContext, _Mapping]] = ..., version: _Optional[int] = ..., partition: _Optional[int] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., signature: _Optional[str] = ...) -> None: ...
