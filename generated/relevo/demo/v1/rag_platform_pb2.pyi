from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Observation(_message.Message):
    __slots__ = ("service", "pid", "context_key", "revision", "settings", "cache_hits", "cache_misses", "cache_pushes", "first_misses", "context_source", "wait_seconds")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_KEY_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    CACHE_HITS_FIELD_NUMBER: _ClassVar[int]
    CACHE_MISSES_FIELD_NUMBER: _ClassVar[int]
    CACHE_PUSHES_FIELD_NUMBER: _ClassVar[int]
    FIRST_MISSES_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_SOURCE_FIELD_NUMBER: _ClassVar[int]
    WAIT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    service: str
    pid: int
    context_key: str
    revision: int
    settings: _containers.RepeatedCompositeFieldContainer[Setting]
    cache_hits: int
    cache_misses: int
    cache_pushes: int
    first_misses: int
    context_source: str
    wait_seconds: float
    def __init__(self, service: _Optional[str] = ..., pid: _Optional[int] = ..., context_key: _Optional[str] = ..., revision: _Optional[int] = ..., settings: _Optional[_Iterable[_Union[Setting, _Mapping]]] = ..., cache_hits: _Optional[int] = ..., cache_misses: _Optional[int] = ..., cache_pushes: _Optional[int] = ..., first_misses: _Optional[int] = ..., context_source: _Optional[str] = ..., wait_seconds: _Optional[float] = ...) -> None: ...

class Setting(_message.Message):
    __slots__ = ("path", "value_json", "source")
    PATH_FIELD_NUMBER: _ClassVar[int]
    VALUE_JSON_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    path: str
    value_json: str
    source: str
    def __init__(self, path: _Optional[str] = ..., value_json: _Optional[str] = ..., source: _Optional[str] = ...) -> None: ...

class ConverseRequest(_message.Message):
    __slots__ = ("tenant_id", "agent_id", "conversation_id", "user_id", "text")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    agent_id: str
    conversation_id: str
    user_id: str
    text: str
    def __init__(self, tenant_id: _Optional[str] = ..., agent_id: _Optional[str] = ..., conversation_id: _Optional[str] = ..., user_id: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class ConverseResponse(_message.Message):
    __slots__ = ("text", "observations")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    OBSERVATIONS_FIELD_NUMBER: _ClassVar[int]
    text: str
    observations: _containers.RepeatedCompositeFieldContainer[Observation]
    def __init__(self, text: _Optional[str] = ..., observations: _Optional[_Iterable[_Union[Observation, _Mapping]]] = ...) -> None: ...

class RunAgentRequest(_message.Message):
    __slots__ = ("text", "history")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    text: str
    history: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, text: _Optional[str] = ..., history: _Optional[_Iterable[str]] = ...) -> None: ...

class RunAgentResponse(_message.Message):
    __slots__ = ("text", "observations")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    OBSERVATIONS_FIELD_NUMBER: _ClassVar[int]
    text: str
    observations: _containers.RepeatedCompositeFieldContainer[Observation]
    def __init__(self, text: _Optional[str] = ..., observations: _Optional[_Iterable[_Union[Observation, _Mapping]]] = ...) -> None: ...

class SearchRequest(_message.Message):
    __slots__ = ("text",)
    TEXT_FIELD_NUMBER: _ClassVar[int]
    text: str
    def __init__(self, text: _Optional[str] = ...) -> None: ...

class SearchResponse(_message.Message):
    __slots__ = ("passages", "observations")
    PASSAGES_FIELD_NUMBER: _ClassVar[int]
    OBSERVATIONS_FIELD_NUMBER: _ClassVar[int]
    passages: _containers.RepeatedCompositeFieldContainer[Passage]
    observations: _containers.RepeatedCompositeFieldContainer[Observation]
    def __init__(self, passages: _Optional[_Iterable[_Union[Passage, _Mapping]]] = ..., observations: _Optional[_Iterable[_Union[Observation, _Mapping]]] = ...) -> None: ...

class Passage(_message.Message):
    __slots__ = ("collection_id", "text", "score")
    COLLECTION_ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    collection_id: str
    text: str
    score: float
    def __init__(self, collection_id: _Optional[str] = ..., text: _Optional[str] = ..., score: _Optional[float] = ...) -> None: ...

class EmbedRequest(_message.Message):
    __slots__ = ("texts",)
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    texts: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, texts: _Optional[_Iterable[str]] = ...) -> None: ...

class EmbedResponse(_message.Message):
    __slots__ = ("vectors", "observations")
    VECTORS_FIELD_NUMBER: _ClassVar[int]
    OBSERVATIONS_FIELD_NUMBER: _ClassVar[int]
    vectors: _containers.RepeatedCompositeFieldContainer[Vector]
    observations: _containers.RepeatedCompositeFieldContainer[Observation]
    def __init__(self, vectors: _Optional[_Iterable[_Union[Vector, _Mapping]]] = ..., observations: _Optional[_Iterable[_Union[Observation, _Mapping]]] = ...) -> None: ...

class Vector(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, values: _Optional[_Iterable[float]] = ...) -> None: ...
