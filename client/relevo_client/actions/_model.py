"""The action as a service sees it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self, cast
from uuid import NAMESPACE_URL, uuid4, uuid5

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    InstanceOf,
    PlainSerializer,
    PlainValidator,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)
from relevo.v1 import action_pb2

from relevo_client._context.codec import unknown_fields_of
from relevo_client._context.current import current_ref
from relevo_client._context.errors import InvalidFieldError
from relevo_client._context.frozen import FrozenDict
from relevo_client._context.keys import ContextRef
from relevo_client._context.model import Section, Text, Time
from relevo_client._context.values import freeze
from relevo_client.actions import _json
from relevo_client.actions._messages import fields_of, message_of

_REPLIES = uuid5(NAMESPACE_URL, "relevo.v1.DomainAction/reply")


def _valid_type(value: str) -> str:
    parts = value.split(".")
    if len(parts) != 3 or not all(parts):
        raise ValueError("must have the form service.entity.verb")
    return value


def _valid_type_or_empty(value: str) -> str:
    return _valid_type(value) if value else value


def _strings(value: object) -> FrozenDict:
    if not isinstance(value, Mapping):
        raise ValueError("must be a mapping")  # noqa: TRY004 - what pydantic understands
    items = cast("Mapping[object, object]", value).items()
    if not all(isinstance(name, str) and isinstance(text, str) for name, text in items):
        raise ValueError("must map strings to strings")
    return FrozenDict({freeze(name, "name"): freeze(text, "value") for name, text in items})


def _plain(value: Mapping[str, str]) -> dict[str, str]:
    return dict(value)


# A function, not `dict[str, str]` itself: Python 3.13 gives that a signature, (*args,
# **kwargs), which pydantic refuses.
Trace = Annotated[Mapping[str, str], PlainValidator(_strings), PlainSerializer(_plain)]


@dataclass(frozen=True)
class ActionFailure:
    """Why an action could not be done, as its sender is told."""

    reason: str
    """A name such as NOT_FOUND, for programs."""
    message: str
    """A text for people."""


class DomainAction(BaseModel):
    """One unit of work that a service asks of another through a queue.

    Frozen, all the way down; `update` makes a changed one. `payload` and `metadata` are
    dicts of JSON values by the rules of an ExecutionContext's sections. What is malformed
    raises pydantic's ValidationError, which names the field but not the value.

    Its JSON is pydantic's own (`model_dump_json`, `model_validate_json`), with the
    reference as `context_cache_key` (`scope:tenant:id`) and `context_revision` (a decimal
    string; a number is read too). None means left out. Names that this class does not know
    are kept, as they are, in JSON.
    """

    model_config = ConfigDict(
        frozen=True, extra="allow", hide_input_in_errors=True, ser_json_inf_nan="constants"
    )

    action_id: Annotated[Text, Field(min_length=1)] = Field(default_factory=lambda: uuid4().hex)
    """Identifies the action. A redelivered action keeps it."""
    action_type: Annotated[Text, AfterValidator(_valid_type)]
    """What is asked, as "service.entity.verb"."""
    task_id: Text = ""
    """The task that the action is a step of."""
    tenant_id: Text = ""
    """The tenant that the work is for."""
    tenant_tier: Text = ""
    """The tenant's plan."""
    agent_id: Text = ""
    """The agent that does the work."""
    session_id: Text = ""
    """The session of the user."""
    conversation_id: Text = ""
    """The conversation that the work belongs to."""
    user_id: Text = ""
    """The user who asked for the work."""
    origin_service: Text = ""
    """The service that sent the action."""
    correlation_id: Text = ""
    """Ties an action to its callbacks."""
    callback_queue: Text = ""
    """The queue that waits for the result. Empty if nobody waits."""
    callback_action_type: Annotated[Text, AfterValidator(_valid_type_or_empty)] = ""
    """The action_type of the result."""
    context_ref: InstanceOf[ContextRef] | None = None
    """The context to work with."""
    payload: Section = FrozenDict()
    """The arguments of the action."""
    metadata: Section = FrozenDict()
    """Whatever else the platform passes on."""
    trace_context: Trace = FrozenDict()
    """W3C trace context: "traceparent" and "tracestate"."""
    created_at: Time | None = None
    """When the action was made; `stamp` sets it if it is left out. A time without a zone
    is in UTC."""

    # Fields of a newer contract, serialized. Not there if there are none.
    _unknown: bytes = PrivateAttr()

    @model_validator(mode="before")
    @classmethod
    def _read_names_of_json(cls, data: object) -> object:
        if not isinstance(data, Mapping):
            return data
        fields = dict(cast("Mapping[str, Any]", data))
        ref = _json.ref_of(fields.pop(_json.KEY, None), fields.pop(_json.REVISION, None))
        if ref and fields.get("context_ref") not in (None, ref):
            raise InvalidFieldError([("context_ref", f"differs from {_json.KEY}")])
        if ref:
            fields["context_ref"] = ref
        known = cls.model_fields
        return {name: v for name, v in fields.items() if v is not None or name not in known}

    @model_serializer(mode="wrap")
    def _write_names_of_json(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        data: dict[str, Any] = handler(self)
        if data.pop("context_ref", None) and self.context_ref:
            data.update(_json.json_of(self.context_ref))
        return data

    @property
    def error(self) -> ActionFailure | None:
        """What the action says of a failure, None if it is the result of no failure."""
        error: object = self.payload.get("error")
        if not isinstance(error, dict):
            return None
        match cast("dict[str, Any]", error):
            case {"reason": str(reason), "message": str(message)}:
                return ActionFailure(reason, message)
            case _:
                return None

    def update(self, **changes: Any) -> Self:
        """An action with these fields instead, validated like any other."""
        updated = type(self).model_validate({**dict(self), **changes})
        _set_unknown_fields(updated, getattr(self, "_unknown", b""))
        return updated

    def reply(self, payload: Mapping[str, Any], **changes: Any) -> "DomainAction":
        """The result of this action, for its `callback_queue`.

        Its `action_id` depends on this action's alone: who gets a result twice can tell.
        It carries this action's reference, or the newer one of the same key that is
        current. Raises InvalidFieldError if the action does not name its
        `callback_action_type`.
        """
        if not self.callback_action_type:
            raise InvalidFieldError(
                [("callback_action_type", "must be there if a result is to be sent")]
            )
        fields = {
            "action_id": uuid5(_REPLIES, self.action_id).hex,
            "action_type": self.callback_action_type,
            "correlation_id": self.correlation_id or self.action_id,
            "context_ref": newest(self.context_ref),
            "payload": payload,
            **{name: getattr(self, name) for name in _COPIED_TO_REPLY},
        }
        return DomainAction.model_validate({**fields, **changes})

    def failure(self, reason: str, message: str) -> "DomainAction":
        """The reply that says that the action could not be done."""
        return self.reply({"error": {"reason": reason, "message": message}})

    def to_message(self) -> action_pb2.DomainAction:
        """The action as the wire has it.

        Raises InvalidFieldError if it has names from JSON that the message has no
        place for.
        """
        if self.model_extra:
            raise InvalidFieldError(
                (name, "has no place in the message") for name in self.model_extra
            )
        return message_of(dict(self), getattr(self, "_unknown", b""))

    @classmethod
    def from_message(cls, message: action_pb2.DomainAction) -> Self:
        """The action that the wire has. Raises InvalidFieldError if it is malformed."""
        try:
            action = cls.model_validate(fields_of(message))
        except ValidationError as error:
            raise invalid_field_error(error) from None
        _set_unknown_fields(action, unknown_fields_of(message))
        return action


_COPIED_TO_REPLY = (
    *("task_id", "tenant_id", "tenant_tier", "agent_id"),
    *("session_id", "conversation_id", "user_id", "metadata", "trace_context"),
)
"""What a reply has of its action."""


def newest(ref: ContextRef | None) -> ContextRef | None:
    """A reference, or the current one if that is a newer one of the same key."""
    current = current_ref()
    if ref and current and current.key == ref.key and current.revision > ref.revision:
        return current
    return ref


def invalid_field_error(error: ValidationError) -> InvalidFieldError:
    """The same as an error of Relevo's."""
    violations: list[tuple[str, str]] = []
    for each in error.errors(include_url=False, include_input=False):
        cause = each.get("ctx", {}).get("error")
        if isinstance(cause, InvalidFieldError):
            violations += cause.violations
        else:
            path = ".".join(str(part) for part in each["loc"])
            violations.append((path or "action", each["msg"]))
    return InvalidFieldError(violations)


def _set_unknown_fields(action: DomainAction, unknown: bytes) -> None:
    if unknown:
        action._unknown = unknown  # pyright: ignore[reportPrivateUsage]
