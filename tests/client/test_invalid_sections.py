"""A section that does not fit a model: the error names paths and entries, and no value."""

import copy
import pickle
import traceback
from collections.abc import Iterator
from datetime import datetime
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, HttpUrl, field_validator
from pydantic_core import PydanticCustomError
from relevo_client import (
    ContextClient,
    ContextKey,
    ExecutionContext,
    InvalidSectionError,
    Reason,
)
from relevo_client.testing import LocalStore
from support.strategies import sections, texts
from support.waiting import until

AGENT = ContextKey("agent_config", "acme", "support")
COLLECTION = ContextKey("collection_config", "acme", "faq")
CONVERSATION = ContextKey("conversation", "acme", "c-1")
SECRET = "sk-4f9a-what-nobody-is-told"  # noqa: S105 - no password


class Nested(BaseModel, frozen=True):
    """An object within a section."""

    model: str
    limits: list[int] = []


class LlmConfig(BaseModel, frozen=True):
    """A model of a section."""

    temperature: float
    api_key: str = ""
    nested: Nested | None = None
    top_p: float = Field(default=1.0, le=1, alias="top-p")


@pytest.fixture
def store() -> Iterator[LocalStore]:
    """A store."""
    with LocalStore() as store:
        yield store


def refused(context: ExecutionContext, section: str = "llm_config") -> InvalidSectionError:
    """The error of a section that does not fit."""
    with pytest.raises(InvalidSectionError) as caught:
        context.section(section, LlmConfig)
    return caught.value


def error_of(
    context: ExecutionContext, section: str, model: type[BaseModel]
) -> InvalidSectionError | None:
    """The error of a section that may fit."""
    try:
        context.section(section, model)
    except InvalidSectionError as error:
        return error
    return None


def test_its_parts() -> None:
    """The error has the section, the model and the paths, in its text too."""
    error = refused(
        ExecutionContext(
            llm_config={"temperature": "hot", "nested": {"limits": [1, "x"]}, "top-p": 2}
        )
    )
    assert (error.section, error.model, error.reason) == (
        *("llm_config", "LlmConfig", Reason.INVALID_SECTION),
    )
    assert [each.path for each in error.violations] == [
        "llm_config.temperature",
        "llm_config.nested.model",
        "llm_config.nested.limits[1]",
        "llm_config.`top-p`",
    ]
    assert str(error).startswith(
        "llm_config does not fit LlmConfig: llm_config.temperature: Input should be a valid number"
    )
    again: InvalidSectionError = pickle.loads(pickle.dumps(error))  # noqa: S301 - ours
    assert (str(again), again.violations) == (str(error), error.violations)


def test_the_entry_is_named(store: LocalStore) -> None:
    """A wrong value names the entry under whose key it was put."""
    store.client.put(AGENT, ExecutionContext(llm_config={"temperature": "hot"}))
    error = refused(store.client.get(AGENT).context)
    assert error.violations[0].entries == ("agent_config:acme:support",)
    assert "llm_config.temperature of agent_config:acme:support: Input should be" in str(error)


def test_the_layer_is_named(store: LocalStore) -> None:
    """In a composition it is the entry whose value counts: the last one that has the key."""
    layers: dict[ContextKey, dict[str, Any]] = {
        COLLECTION: {"temperature": "hot", "api_key": 1},
        AGENT: {"temperature": "cold", "nested": {}},
        CONVERSATION: {"api_key": 2, "top-p": 1},
    }
    for key, section in layers.items():
        includes = (COLLECTION, AGENT) if key == CONVERSATION else ()
        store.client.put(key, ExecutionContext(llm_config=section, includes=includes))
    for is_cached in (False, True):
        if is_cached:
            until(lambda: store.client.peek(CONVERSATION))
        error = refused(store.client.resolve(CONVERSATION).context)
        assert {each.path: each.entries for each in error.violations} == {
            "llm_config.temperature": (AGENT.text,),
            "llm_config.api_key": (CONVERSATION.text,),
            "llm_config.nested.model": (AGENT.text,),
        }


def test_a_missing_value_names_all_entries(store: LocalStore) -> None:
    """A value that is missing could have come from each entry of the composition."""
    store.client.put(AGENT, ExecutionContext(llm_config={"api_key": "k"}))
    store.client.put(CONVERSATION, ExecutionContext(includes=(AGENT,)))
    for section in ("llm_config", "rag_config"):
        error = refused(store.client.resolve(CONVERSATION).context, section)
        (violation,) = error.violations
        assert violation.path == f"{section}.temperature"
        assert violation.entries == (AGENT.text, CONVERSATION.text)
    assert f"of {AGENT} or {CONVERSATION}: Field required" in str(error)


def test_a_snapshot_names_what_it_was_made_of(store: LocalStore) -> None:
    """Its maker knows each value's entry, and whoever reads it those that it was composed from."""
    store.client.put(AGENT, ExecutionContext(llm_config={"temperature": "hot"}))
    store.client.put(CONVERSATION, ExecutionContext(includes=(AGENT,)))
    store.client.resolve(CONVERSATION)
    until(lambda: store.client.peek(CONVERSATION))
    with store.client.turn(CONVERSATION) as context:  # of the near cache's composition
        assert refused(context).violations[0].entries == (AGENT.text,)
    entry = store.client.snapshot(store.client.resolve(CONVERSATION))
    with ContextClient(store.address, timeout=10) as reader:
        read = refused(reader.resolve(entry.ref).context)
    assert set(read.violations[0].entries) == {AGENT.text, CONVERSATION.text}


def test_a_changed_context_has_no_entry(store: LocalStore) -> None:
    """What a program has put together itself is of no entry; a copy is of the same ones."""
    store.client.put(AGENT, ExecutionContext(llm_config={"temperature": "hot"}))
    context = store.client.get(AGENT).context
    for same in (copy.copy(context), context.model_copy(), pickle.loads(pickle.dumps(context))):  # noqa: S301 - ours
        assert refused(same).violations[0].entries == (AGENT.text,)
    for changed in (
        context.update(user_id="u"),
        context.model_copy(update={"llm_config": context.llm_config}),
        ExecutionContext.from_cache_dict(context.to_cache_dict()),
    ):
        assert refused(changed).violations[0].entries == ()


def test_there_are_not_too_many() -> None:
    """An error names 20 violations, and the number of the others."""

    class Many(BaseModel):
        numbers: list[int]

    context = ExecutionContext(rag_config={"numbers": ["x"] * 100})
    with pytest.raises(InvalidSectionError, match="and 80 more") as caught:
        context.section("rag_config", Many)
    assert (len(caught.value.violations), caught.value.left_out) == (20, 80)


class Colour(Enum):
    """One of a few values."""

    RED = "red"


class Cat(BaseModel):
    """A member of a tagged union."""

    kind: Literal["cat"]


class Dog(BaseModel):
    """The other one."""

    kind: Literal["dog"]


class Careless(BaseModel):
    """A model with rules of every kind whose texts could quote a value."""

    number: int = 0
    colour: Colour = Colour.RED
    choice: Literal["a"] = "a"
    pattern: Annotated[str, Field(pattern="^a+$")] = "a"
    short: Annotated[str, Field(max_length=1)] = "a"
    pet: Annotated[Cat | Dog, Field(discriminator="kind")] = Cat(kind="cat")
    id: UUID | None = None
    url: HttpUrl | None = None
    time: datetime | None = None
    either: int | bool | None = None
    own: str = ""
    asserted: str = ""
    custom: str = ""

    @field_validator("own")
    @classmethod
    def _own(cls, value: str) -> str:
        raise ValueError(f"{value} is no good")

    @field_validator("asserted")
    @classmethod
    def _asserted(cls, value: str) -> str:
        assert not value, f"{value} is no good"
        return value

    @field_validator("custom")
    @classmethod
    def _custom(cls, value: str) -> str:
        raise PydanticCustomError("bad_value", "{value} is no good", {"value": value})


def test_no_value_is_quoted() -> None:
    """Whatever rule is broken, no text of the error has the value, nor has a traceback."""
    names = set(Careless.model_fields)
    section = {**dict.fromkeys(names, SECRET), "pet": {"kind": SECRET}}
    with pytest.raises(InvalidSectionError) as caught:
        ExecutionContext(rag_config=section).section("rag_config", Careless)
    error = caught.value
    assert {each.path.split(".")[1].split("[")[0] for each in error.violations} == names
    shown = [str(error), repr(error), repr(vars(error)), *traceback.format_exception(error)]
    assert not [text for text in shown if SECRET in text]
    assert error.__context__ is None
    assert error.__cause__ is None
    by_path = {each.path: each.description for each in error.violations}
    place = by_path["rag_config.own"]
    assert place.startswith("a validator of the model refuses it: ValueError in _own (")
    assert by_path["rag_config.custom"] == "the model refuses it (bad_value)"
    assert "'cat', 'dog'" in by_path["rag_config.pet"]
    assert by_path["rag_config.number"].startswith("Input should be a valid integer")


@settings(max_examples=40)
@given(section=st.dictionaries(st.sampled_from(sorted(Careless.model_fields)), st.text(min_size=4)))
def test_no_text_of_any_value(section: dict[str, str]) -> None:
    """No error has a value of a section, of whatever characters."""
    marked = {name: f"<{text}>" for name, text in section.items()}
    plain = {name: f"{text}" for name, text in section.items() if text.isalnum() and len(text) > 12}
    for values in (marked, plain):
        context = ExecutionContext(rag_config=_encodable(values))
        text = str(error_of(context, "rag_config", Careless))
        assert not [value for value in values.values() if value in text]


def _encodable(values: dict[str, str]) -> dict[str, str]:
    return {name: v.encode("utf-8", "ignore").decode() for name, v in values.items()}


@settings(max_examples=40)
@given(section=sections, name=texts)
def test_any_section_fits_or_not(section: dict[str, Any], name: str) -> None:
    """Any section is a model, or an InvalidSectionError; never anything else."""
    context = ExecutionContext(llm_config={**section, "temperature": section.get(name, 1)})
    error = error_of(context, "llm_config", LlmConfig)
    if error:
        assert all(each.path.startswith("llm_config") for each in error.violations)
    else:
        made = context.section("llm_config", LlmConfig)
        assert context.section("llm_config", LlmConfig) is made
