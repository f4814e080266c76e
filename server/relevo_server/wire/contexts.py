"""The rules of keys and contexts."""

from collections.abc import Iterator

from google.protobuf.struct_pb2 import Struct
from relevo.v1.context_pb2 import ContextKey, ExecutionContext

from relevo_server.errors import Violation
from relevo_server.keys import Key
from relevo_server.wire import sections
from relevo_server.wire.recognition import is_recognised

MAX_INCLUDES = 16
MAX_COMPOSED_FROM = 1 + MAX_INCLUDES
_MICROSECOND = 1000  # nanoseconds


def key_of(message: ContextKey) -> Key:
    """The key as a value, unchecked."""
    return Key(message.scope, message.tenant_id, message.id)


def message_of(key: Key) -> ContextKey:
    """The key as a message."""
    return ContextKey(scope=key.scope, tenant_id=key.tenant_id, id=key.id)


def key_problems(key: Key, path: str) -> Iterator[Violation]:
    """The broken rules of a key that is the field `path` of a request."""
    for field, problem in key.problems():
        yield f"{path}.{field}", problem


def context_problems(context: ExecutionContext, serialized: bytes, key: Key) -> Iterator[Violation]:
    """The broken rules of a context that is to be put under `key`.

    `serialized` is the context as protobuf writes it.
    """
    if context.tenant_id not in ("", key.tenant_id):
        yield "context.tenant_id", "must be empty or the same as key.tenant_id"
    if len(context.includes) > MAX_INCLUDES:
        count = len(context.includes)
        yield "context.includes", f"must have at most {MAX_INCLUDES} entries, has {count}"
    # No more than the allowed number: the search for duplicates takes the square of it.
    includes = [key_of(include) for include in context.includes[:MAX_INCLUDES]]
    for i, include in enumerate(includes):
        path = f"context.includes[{i}]"
        yield from key_problems(include, path)
        if include.tenant_id != key.tenant_id:
            yield f"{path}.tenant_id", "must be the same as key.tenant_id"
        if include == key:
            yield path, "must not be the entry itself"
        if include in includes[:i]:
            yield path, "must not be there twice"
    if len(context.composed_from) > MAX_COMPOSED_FROM:
        count = len(context.composed_from)
        yield "context.composed_from", f"must have at most {MAX_COMPOSED_FROM} entries, has {count}"
    for i, source in enumerate(context.composed_from[:MAX_COMPOSED_FROM]):
        path = f"context.composed_from[{i}]"
        yield from key_problems(key_of(source.key), f"{path}.key")
        if source.key.tenant_id != key.tenant_id:
            yield f"{path}.key.tenant_id", "must be the same as key.tenant_id"
        if source.revision <= 0:
            yield f"{path}.revision", "must be a version, which is more than 0"
    if not is_recognised(serialized):
        for field, value in context.ListFields():
            if isinstance(value, Struct):
                yield from sections.problems(value, f"context.{field.name}")
    time = context.create_time
    if time.nanos % _MICROSECOND or not 0 <= time.nanos < 1_000_000_000:
        yield "context.create_time.nanos", "must be whole microseconds within a second"
    if not -62_135_596_800 <= time.seconds <= 253_402_300_799:
        yield "context.create_time.seconds", "must be from year 1 to year 9999"
