"""Conversion of contexts and entries to protobuf messages and back."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.protobuf.unknown_fields import UnknownFieldSet
from relevo.v1 import context_pb2

from relevo_client._context import digest
from relevo_client._context.entry import ContextEntry
from relevo_client._context.keys import ContextKey, ContextRef
from relevo_client._context.model import IDENTITY, ExecutionContext, construct, unknown_of
from relevo_client._context.paths import SECTIONS
from relevo_client._context.provenance import Part, record
from relevo_client._context.values import fill_struct, read_struct, shared

_COMMON = ("tenant_id", "agent_id", "tenant_tier")
"""Identity fields whose values many contexts share, so that one copy of each text serves all."""


def entry_from_message(
    message: context_pb2.ContextEntry, revision: int, layers: tuple[ContextEntry, ...] = ()
) -> ContextEntry:
    """The entry of a message, as of `revision`, with these layers.

    Raises RelevoError with the reason CORRUPT_ENTRY if its key names another snapshot.
    """
    key = ContextKey.from_message(message.key)
    context = context_from_message(message.context)
    digest.verify(key, context)
    sources = [ref.key for ref in context.composed_from] if digest.is_digest(key) else [key]
    record(context, [Part(source, None) for source in sources])
    return ContextEntry(
        key=key,
        context=context,
        version=message.version,
        revision=revision,
        partition=message.partition,
        expire_time=message.expire_time.ToDatetime(UTC),
        ttl=message.ttl.ToTimedelta(),
        layers=layers,
        signature=message.signature,
    )


def context_to_message(context: ExecutionContext) -> context_pb2.ExecutionContext:
    """The message of a context, with the fields of a newer contract that it was read with."""
    message = context_pb2.ExecutionContext()
    fill_context(message, dict(context))
    message.MergeFromString(unknown_of(context))
    return message


def fill_context(message: context_pb2.ExecutionContext, fields: Mapping[str, Any]) -> None:
    """Write validated fields of a context, by their Python names, into a message."""
    for name in IDENTITY:
        if name in fields:
            setattr(message, name, fields[name])
    for name in SECTIONS:
        if fields.get(name):
            fill_struct(getattr(message, name), fields[name])
    message.includes.extend(key.to_message() for key in fields.get("includes", ()))
    message.composed_from.extend(ref.to_message() for ref in fields.get("composed_from", ()))
    if fields.get("created_at"):
        message.create_time.FromDatetime(fields["created_at"])
    if fields.get("updated_at"):
        message.update_time.FromDatetime(fields["updated_at"])


def context_from_message(message: context_pb2.ExecutionContext) -> ExecutionContext:
    """The context of a message. It is not validated again: the store has done that."""
    fields: dict[str, Any] = {name: getattr(message, name) for name in IDENTITY}
    for name in SECTIONS:
        fields[name] = read_struct(getattr(message, name))
    for name in _COMMON:
        fields[name] = shared(fields[name])
    fields["includes"] = tuple(ContextKey.from_message(key) for key in message.includes)
    fields["composed_from"] = tuple(ContextRef.from_message(ref) for ref in message.composed_from)
    fields["created_at"] = time_of(message, "create_time")
    fields["updated_at"] = time_of(message, "update_time")
    return construct(fields, unknown_fields_of(message))


def time_of(message: Message, field: str) -> datetime | None:
    """The Timestamp in a message's field as a datetime in UTC, or None if it is not set."""
    if not message.HasField(field):
        return None
    time: Timestamp = getattr(message, field)
    return time.ToDatetime(UTC)


def unknown_fields_of(message: Message) -> bytes:
    """The message's fields that only a newer contract defines, serialized."""
    if not len(UnknownFieldSet(message)):
        return b""
    rest = type(message)()
    rest.CopyFrom(message)
    for field in message.DESCRIPTOR.fields:
        rest.ClearField(field.name)
    return rest.SerializeToString()
