"""The context as a service sees it."""

from collections.abc import Mapping
from copy import deepcopy
from datetime import UTC, datetime
from typing import Annotated, Any, Self, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    PlainValidator,
    PrivateAttr,
    Strict,
    ValidationInfo,
)

from relevo_client._context.frozen import FrozenDict
from relevo_client._context.keys import ContextKey, ContextRef
from relevo_client._context.values import freeze, freeze_section


def _section(value: object, info: ValidationInfo) -> FrozenDict:
    if not isinstance(value, Mapping):
        raise ValueError("must be a mapping")  # noqa: TRY004 - what pydantic understands
    return freeze_section(cast("Mapping[object, object]", value), info.field_name or "section")


def _key(value: object) -> object:
    return ContextKey.parse(value) if isinstance(value, str) else value


def _ref(value: object) -> object:
    return ContextRef.parse(value) if isinstance(value, str) else value


def _in_utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("must be from year 1 to year 9999 in UTC") from None


def _text(value: str) -> str:
    freeze(value, "text")
    return value


Text = Annotated[str, Strict(), AfterValidator(_text)]
Section = Annotated[Mapping[str, Any], PlainValidator(_section), PlainSerializer(deepcopy)]
Key = Annotated[ContextKey, BeforeValidator(_key), PlainSerializer(str)]
Ref = Annotated[ContextRef, BeforeValidator(_ref), PlainSerializer(str)]
Time = Annotated[datetime, AfterValidator(_in_utc)]


class ExecutionContext(BaseModel):
    """For whom a chain of services works, and with which configuration.

    Frozen, all the way down; `update` makes a changed one. The sections are dicts
    of JSON values: what a double or JSON cannot hold exactly (NaN, infinities,
    integers beyond 2^53, keys that are not strings, other types) is refused with
    pydantic's ValidationError, which names the path but not the value.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    context_id: Text = ""
    """Identifies this context in the platform's own records."""
    tenant_id: Text = ""
    """The tenant that the work is for."""
    agent_id: Text = ""
    """The agent that does the work."""
    tenant_tier: Text = ""
    """The tenant's plan."""
    conversation_id: Text = ""
    """The conversation that the work belongs to."""
    session_id: Text = ""
    """The session of the user."""
    user_id: Text = ""
    """The user who asked for the work."""

    llm_config: Section = FrozenDict()
    """How to ask the language model."""
    embedding_config: Section = FrozenDict()
    """How to embed text."""
    rag_config: Section = FrozenDict()
    """How to search."""
    agent_config: Section = FrozenDict()
    """How the agent behaves."""
    metadata: Section = FrozenDict()
    """Whatever else the platform passes on."""
    rate_limits: Section = FrozenDict()
    """What the tenant may use up."""

    includes: tuple[Key, ...] = ()
    """Entries of the same tenant that this context builds on, at most 16."""
    created_at: Time | None = None
    """When the context was first written; the store sets it where it is left out.
    A time without a zone is in UTC."""
    updated_at: Time | None = None
    """When the entry was last written; the store sets it."""
    composed_from: tuple[Ref, ...] = ()
    """In a snapshot: the entry that it is a snapshot of, then that entry's layers in the
    order of its `includes`, each with the version that it had as the revision."""

    # Fields of a newer contract, serialized: a service that only passes a
    # context on must not lose them. Not there where there are none.
    _unknown: bytes = PrivateAttr()

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self.__copy__()  # what it holds cannot be changed

    def update(self, **changes: Any) -> Self:
        """A context with these fields instead, validated like any other."""
        updated = type(self).model_validate({**dict(self), **changes})
        _set_unknown(updated, unknown_of(self))
        return updated

    def to_cache_dict(self) -> dict[str, Any]:
        """The context as JSON-like data that can be changed.

        Times are ISO 8601; `includes` and `composed_from`, as text forms, are there only
        if they are not empty.
        """
        data = self.model_dump(mode="json")
        for name in ("includes", "composed_from"):
            if not data[name]:
                del data[name]
        return data

    @classmethod
    def from_cache_dict(cls, data: Mapping[str, Any]) -> Self:
        """The context that `to_cache_dict`, or a platform's own JSON, describes.

        None means left out. Raises ValidationError for unknown names.
        """
        return cls.model_validate({name: v for name, v in data.items() if v is not None})


_ALL_FIELDS = set(ExecutionContext.model_fields)


def construct(fields: dict[str, Any], unknown: bytes) -> ExecutionContext:
    """A context of all its fields, which are valid, and of those of a newer contract."""
    # One set for all contexts: each would be as large as a section.
    context = ExecutionContext.model_construct(_ALL_FIELDS, **fields)
    _set_unknown(context, unknown)
    return context


def unknown_of(context: ExecutionContext) -> bytes:
    """The fields of a newer contract that a context has, serialized."""
    unknown: bytes = getattr(context, "_unknown", b"")
    return unknown


def _set_unknown(context: ExecutionContext, unknown: bytes) -> None:
    if unknown:
        context._unknown = unknown  # pyright: ignore[reportPrivateUsage]


IDENTITY = (
    "context_id",
    "tenant_id",
    "agent_id",
    "tenant_tier",
    "conversation_id",
    "session_id",
    "user_id",
)
"""The fields that say for whom the work is."""

SECTIONS = (
    "llm_config",
    "embedding_config",
    "rag_config",
    "agent_config",
    "metadata",
    "rate_limits",
)
"""The fields that compose."""
