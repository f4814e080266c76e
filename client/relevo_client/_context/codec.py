"""Contexts and entries, from messages and into them."""

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
from relevo_client._context.model import IDENTITY, SECTIONS, ExecutionContext, construct, unknown_of
from relevo_client._context.values import fill_struct, read_struct, shared

_COMMON = ("tenant_id", "agent_id", "tenant_tier")
"""Identity fields that many contexts have the same."""


def entry_from_message(
    message: context_pb2.ContextEntry, revision: int, layers: tuple[ContextEntry, ...] = ()
) -> ContextEntry:
    """The entry that the wire has. Raises RelevoError if it is not the snapshot that it names."""
    key = ContextKey.from_message(message.key)
    context = context_from_message(message.context)
    digest.verify(key, context)
    return ContextEntry(
        key=key,
        context=context,
        version=message.version,
        revision=revision,
        partition=message.partition,
        expire_time=message.expire_time.ToDatetime(UTC),
        ttl=message.ttl.ToTimedelta(),
        layers=layers,
    )


def context_to_message(context: ExecutionContext) -> context_pb2.ExecutionContext:
    """The context as the wire has it."""
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
    """The context that the wire has. Not validated again: the store has done that."""
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
    """A Timestamp of a message, None where it is not set."""
    if not message.HasField(field):
        return None
    time: Timestamp = getattr(message, field)
    return time.ToDatetime(UTC)


def unknown_fields_of(message: Message) -> bytes:
    """The fields of a newer contract that a message has, serialized."""
    if not len(UnknownFieldSet(message)):
        return b""
    rest = type(message)()
    rest.CopyFrom(message)
    for field in message.DESCRIPTOR.fields:
        rest.ClearField(field.name)
    return rest.SerializeToString()
