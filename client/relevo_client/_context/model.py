"""`ExecutionContext`, the validated and frozen context that services work with."""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Self, TypeVar, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    PrivateAttr,
    Strict,
    ValidationInfo,
)

from relevo_client._context.frozen import FrozenDict
from relevo_client._context.hiding import Hidden
from relevo_client._context.keys import ContextKey, ContextRef
from relevo_client._context.provenance import forget
from relevo_client._context.typed import section_of
from relevo_client._context.values import freeze, freeze_section


def _section(value: object, info: ValidationInfo) -> FrozenDict:
    if not isinstance(value, Mapping):
        raise ValueError("must be a mapping")  # noqa: TRY004 - pydantic reports only ValueErrors
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
_Model = TypeVar("_Model", bound=BaseModel)


class ExecutionContext(BaseModel):
    """The identity that a chain of services works for, and the configuration that applies to it.

    Immutable, with all of its values; `update` returns a changed copy. All fields are optional.
    The identity fields are str. The sections (`llm_config` and so on) are dicts of JSON values.
    Raises pydantic's ValidationError, which names the path but not the value, for values that
    neither JSON nor a double can hold exactly: NaN, infinities, integers beyond 2^53, keys that
    are not strings, other types.

    `repr` and `str` show which fields are set, and their sizes. A section itself is a dict, whose
    `repr` shows its values.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    context_id: Text = ""
    """The context's id in the platform's own records."""
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

    llm_config: Section = Field(default_factory=FrozenDict)
    """Settings of the language model."""
    embedding_config: Section = Field(default_factory=FrozenDict)
    """Settings of the embedding of text."""
    rag_config: Section = Field(default_factory=FrozenDict)
    """Settings of retrieval."""
    agent_config: Section = Field(default_factory=FrozenDict)
    """Settings of the agent's behaviour."""
    metadata: Section = Field(default_factory=FrozenDict)
    """Further values that the platform passes on."""
    rate_limits: Section = Field(default_factory=FrozenDict)
    """Limits of the tenant's consumption."""

    includes: tuple[Key, ...] = ()
    """The keys of entries of the same tenant that this context builds on, at most 16: ContextKeys
    or their text forms."""
    created_at: Time | None = None
    """The time at which the context was first written, in UTC. The store sets it if it is left
    out. A time without a zone is taken as UTC."""
    updated_at: Time | None = None
    """The time at which the entry was last written, in UTC. The store sets it."""
    composed_from: tuple[Ref, ...] = ()
    """In a snapshot: references to the entry that it was made of and to that entry's layers in
    the order of `includes`, each with the version that it had then as the revision."""

    # Fields of a newer contract, serialized: a service that only passes a
    # context on must not lose them. The attribute is missing if there are none.
    _unknown: bytes = PrivateAttr()

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        return ((name, Hidden(value)) for name, value in self if value)

    if not TYPE_CHECKING:  # type checkers would take it as a way to set any attribute

        def __setattr__(self, name: str, value: object) -> None:
            # pydantic's refusal quotes the value, whatever `hide_input_in_errors` says.
            super().__setattr__(name, value if name.startswith("_") else Hidden(value))

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self.__copy__()  # all that it holds is immutable

    def section(self, name: str, model: type[_Model]) -> _Model:
        """A section, validated into a pydantic model once for each version of the section.

        `name` is a section's name, as `rag_config`, or the path of an object in it, as
        `metadata.pricing`; names with other characters stand in backticks. A section that is
        missing counts as empty. It is validated as JSON.

        All callers get the same object of a frozen model; its lists and dicts cannot be changed.
        Of a model that is not frozen, each gets a copy.

        Raises InvalidSectionError, which names each missing or wrong value and the entry that it
        came from, InvalidFieldError for a name that is malformed or of no section, and what the
        model's own validators raise beyond ValueError and AssertionError.
        """
        return section_of(self, name, model)

    def update(self, **changes: Any) -> Self:
        """A copy of the context with these fields replaced, each as a whole.

        Raises ValidationError for an unknown field or an invalid value.
        """
        updated = type(self).model_validate({**dict(self), **changes})
        _set_unknown(updated, unknown_of(self))
        return updated

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy, as pydantic makes it: what `update` has is not validated."""
        copied = super().model_copy(update=update, deep=deep)
        if update:
            forget(copied)
        return copied

    def to_cache_dict(self) -> dict[str, Any]:
        """The context as a mutable dict of JSON values.

        Times are texts in ISO 8601. `includes` and `composed_from` are lists of text forms, and
        are left out if they are empty.
        """
        data = self.model_dump(mode="json")
        for name in ("includes", "composed_from"):
            if not data[name]:
                del data[name]
        return data

    @classmethod
    def from_cache_dict(cls, data: Mapping[str, Any]) -> Self:
        """The context in a dict from `to_cache_dict` or from the platform's own JSON.

        A field that is None counts as left out. Raises ValidationError for an unknown field or an
        invalid value.
        """
        return cls.model_validate({name: v for name, v in data.items() if v is not None})


_ALL_FIELDS = set(ExecutionContext.model_fields)


def construct(fields: dict[str, Any], unknown: bytes) -> ExecutionContext:
    """A context of all fields, which must be valid, and of a newer contract's, serialized."""
    # All contexts share one set of field names: it is as large as a section.
    context = ExecutionContext.model_construct(_ALL_FIELDS, **fields)
    _set_unknown(context, unknown)
    return context


def unknown_of(context: ExecutionContext) -> bytes:
    """The context's fields that only a newer contract defines, serialized."""
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
"""The identity fields: they name the tenant, agent, conversation and user of the work."""
