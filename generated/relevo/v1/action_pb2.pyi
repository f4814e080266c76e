import datetime

from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from relevo.v1 import context_pb2 as _context_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DomainAction(_message.Message):
    __slots__ = ("action_id", "action_type", "task_id", "tenant_id", "tenant_tier", "agent_id", "session_id", "conversation_id", "user_id", "origin_service", "correlation_id", "callback_queue", "callback_action_type", "context_ref", "payload", "metadata", "trace_context", "create_time", "context_rider")
    class TraceContextEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ACTION_ID_FIELD_NUMBER: _ClassVar[int]
    ACTION_TYPE_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_TIER_FIELD_NUMBER: _ClassVar[int]
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_SERVICE_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    CALLBACK_QUEUE_FIELD_NUMBER: _ClassVar[int]
    CALLBACK_ACTION_TYPE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_REF_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    TRACE_CONTEXT_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_RIDER_FIELD_NUMBER: _ClassVar[int]
    action_id: str
    action_type: str
    task_id: str
    tenant_id: str
    tenant_tier: str
    agent_id: str
    session_id: str
    conversation_id: str
    user_id: str
    origin_service: str
    correlation_id: str
    callback_queue: str
    callback_action_type: str
    context_ref: _context_pb2.ContextRef
    payload: _struct_pb2.Struct
    metadata: _struct_pb2.Struct
    trace_context: _containers.ScalarMap[str, str]
    create_time: _timestamp_pb2.Timestamp
    context_rider: bytes
    def __init__(self, action_id: _Optional[str] = ..., action_type: _Optional[str] = ..., task_id: _Optional[str] = ..., tenant_id: _Optional[str] = ..., tenant_tier: _Optional[str] = ..., agent_id: _Optional[str] = ..., session_id: _Optional[str] = ..., conversation_id: _Optional[str] = ..., user_id: _Optional[str] = ..., origin_service: _Optional[str] = ..., correlation_id: _Optional[str] = ..., callback_queue: _Optional[str] = ..., callback_action_type: _Optional[str] = ..., context_ref: _Optional[_Union[_context_pb2.ContextRef, _Mapping]] = ..., payload: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., metadata: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., trace_context: _Optional[_Mapping[str, str]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., context_rider: _Optional[bytes] = ...) -> None: ...
