"""Converts actions to protobuf messages and back."""

from collections.abc import Mapping
from typing import Any

from relevo.v1 import action_pb2

from relevo_client._context.codec import time_of
from relevo_client._context.errors import InvalidFieldError
from relevo_client._context.keys import ContextRef
from relevo_client._context.values import fill_struct, read_struct

TEXTS = (
    "action_id",
    "action_type",
    "task_id",
    "tenant_id",
    "tenant_tier",
    "agent_id",
    "session_id",
    "conversation_id",
    "user_id",
    "origin_service",
    "correlation_id",
    "callback_queue",
    "callback_action_type",
)
SECTIONS = ("payload", "metadata")


def message_of(fields: Mapping[str, Any], unknown: bytes) -> action_pb2.DomainAction:
    """The message with valid `fields`, and the serialized `unknown` fields of a newer contract."""
    message = action_pb2.DomainAction(**{name: fields[name] for name in TEXTS})
    for name in SECTIONS:
        if fields[name]:
            fill_struct(getattr(message, name), fields[name])
    ref: ContextRef | None = fields["context_ref"]
    if ref:
        message.context_ref.CopyFrom(ref.to_message())
    message.context_rider = fields["context_rider"]
    message.trace_context.update(fields["trace_context"])
    if fields["created_at"]:
        message.create_time.FromDatetime(fields["created_at"])
    message.MergeFromString(unknown)
    return message


def fields_of(message: action_pb2.DomainAction) -> dict[str, Any]:
    """The fields of a message, not validated. Raises InvalidFieldError for a time out of range."""
    fields: dict[str, Any] = {name: getattr(message, name) for name in TEXTS}
    for name in SECTIONS:
        fields[name] = read_struct(getattr(message, name))
    if message.HasField("context_ref"):
        fields["context_ref"] = ContextRef.from_message(message.context_ref)
    fields["context_rider"] = message.context_rider
    fields["trace_context"] = dict(message.trace_context)
    try:
        fields["created_at"] = time_of(message, "create_time")
    except (ValueError, OverflowError):
        raise InvalidFieldError(
            [("create_time", "must be from year 1 to year 9999 in UTC")]
        ) from None
    return fields
