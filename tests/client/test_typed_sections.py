"""Sections as models of the user's: validated once per version, shared, and immutable."""

import copy
import pickle
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from relevo_client import (
    ContextKey,
    ExecutionContext,
    InvalidSectionError,
    NoContextError,
    settings,
    use_context,
)
from relevo_client._context.typed import MAX_MODELS
from relevo_client.testing import LocalStore
from support.waiting import until

AGENT = ContextKey("agent_config", "acme", "support")
RAG = {"top_k": 5, "weights": [1, 2], "by_name": {"faq": {"min_score": 0.5}}}

validations: list[str] = []


class Inner(BaseModel, frozen=True):
    """An object within a section."""

    min_score: float


class RagConfig(BaseModel, frozen=True):
    """A frozen model, which counts how often it is validated."""

    top_k: int
    weights: list[int] = []
    by_name: dict[str, Inner] = {}

    @model_validator(mode="after")
    def _count(self) -> "RagConfig":
        validations.append("RagConfig")
        return self


class Mutable(BaseModel):
    """A model as most people write it."""

    top_k: int
    weights: list[int] = []
    by_name: dict[str, dict[str, float]] = {}
    seen: set[int] = set()

    @field_validator("top_k")
    @classmethod
    def _count(cls, value: int) -> int:
        validations.append("Mutable")
        return value


@pytest.fixture(autouse=True)
def no_validations() -> None:
    """Nothing was validated before the test."""
    validations.clear()


@pytest.fixture
def store() -> Iterator[LocalStore]:
    """A store."""
    with LocalStore() as store:
        yield store


def rag(**changes: object) -> ExecutionContext:
    """A context with a section for the models."""
    return ExecutionContext(rag_config={**RAG, **changes})


def cached(store: LocalStore, key: ContextKey) -> ExecutionContext:
    """The composed context of a key, once the near cache has it."""
    store.client.resolve(key)
    until(lambda: store.client.peek(key))
    return store.client.resolve(key).context


def conversation(number: int) -> ContextKey:
    """The key of a conversation."""
    return ContextKey("conversation", "acme", f"c-{number}")


def test_a_version_is_validated_once(store: LocalStore) -> None:
    """All calls with a version get the same object; the next version is validated anew."""
    store.client.put(AGENT, rag())
    first = cached(store, AGENT).section("rag_config", RagConfig)
    for _ in range(3):
        assert cached(store, AGENT).section("rag_config", RagConfig) is first
    assert (first.top_k, first.by_name["faq"].min_score) == (5, 0.5)
    assert len(validations) == 1
    store.client.put(AGENT, rag(top_k=6))
    assert store.client.resolve(AGENT).context.section("rag_config", RagConfig).top_k == 6
    assert len(validations) == 2


def test_conversations_share_what_they_include(store: LocalStore) -> None:
    """A section that one layer alone has is validated once for all that include the layer."""
    store.client.put(AGENT, rag())
    for number in range(3):
        own = ExecutionContext(user_id=f"u-{number}", includes=(AGENT,))
        store.client.put(conversation(number), own)
    contexts = [cached(store, conversation(number)) for number in range(3)]
    models = [each.section("rag_config", RagConfig) for each in contexts]
    assert {each.user_id for each in contexts} == {"u-0", "u-1", "u-2"}
    assert {id(each) for each in models} == {id(models[0])}
    assert len(validations) == 1


def test_a_frozen_model_is_shared_and_frozen() -> None:
    """Nothing in a frozen model can be changed, its lists and dicts included."""
    context = rag()
    shared = context.section("rag_config", RagConfig)
    changed: Any = shared
    with pytest.raises(ValueError, match="frozen"):
        changed.top_k = 7
    with pytest.raises(TypeError):
        changed.weights.append(3)
    with pytest.raises(TypeError):
        changed.by_name["new"] = Inner(min_score=1)
    assert context.section("rag_config", RagConfig) is shared
    assert shared.model_dump() == RAG
    assert shared == RagConfig.model_validate(RAG)


def test_a_mutable_model_is_everybody_s_own() -> None:
    """A change of a model that is not frozen is seen by nobody else; no read validates again."""
    context = rag()
    mine = context.section("rag_config", Mutable)
    mine.top_k = 7
    mine.weights.append(3)
    mine.by_name["faq"]["min_score"] = 0.0
    mine.seen.add(1)
    assert context.section("rag_config", Mutable) == Mutable.model_validate(RAG)
    assert context.rag_config == RAG
    assert validations == ["Mutable", "Mutable"]  # the last one is this test's own


def test_a_frozen_model_with_a_mutable_part_is_not_shared() -> None:
    """One set, or one model that is not frozen, makes the whole a copy for each."""

    class Part(BaseModel, frozen=True):
        weights: frozenset[int] = frozenset()
        mutable: set[int] = set()

    context = rag()
    context.section("rag_config", Part).mutable.add(1)
    assert context.section("rag_config", Part).mutable == set()


def test_objects_of_the_program_stay_as_they_are() -> None:
    """What a validator or a default hands out is not frozen where others have it."""
    own = Mutable(top_k=1, weights=[1])

    class Part(BaseModel, frozen=True):
        own: Mutable = Field(default_factory=lambda: own)

    assert rag().section("rag_config", Part).own is not own
    own.weights.append(2)
    assert own.weights == [1, 2]


def test_sections_are_validated_as_json() -> None:
    """A strict model takes times and tuples from JSON, and a validator may change what it gets."""

    class Strict(BaseModel, frozen=True):
        model_config = ConfigDict(strict=True)
        since: datetime
        pair: tuple[int, int]

    class Renaming(BaseModel, frozen=True):
        begin: datetime
        pair: tuple[int, int]

        @model_validator(mode="before")
        @classmethod
        def _rename(cls, data: dict[str, Any]) -> dict[str, Any]:
            data["begin"] = data.pop("since")
            data["pair"].reverse()
            return data

    section = {"since": "2026-11-30T00:00:00Z", "pair": [1, 2]}
    context = ExecutionContext(metadata=section)
    since = datetime(2026, 11, 30, tzinfo=UTC)
    assert context.section("metadata", Strict) == Strict(since=since, pair=(1, 2))
    assert context.section("metadata", Renaming).pair == (2, 1)
    assert context.metadata == section


def test_a_missing_section_counts_as_empty() -> None:
    """A model of defaults fits it; a field without one is named as missing."""

    class Defaults(BaseModel, frozen=True):
        top_k: int = 3

    for context in (ExecutionContext(), ExecutionContext(rag_config={})):
        assert context.section("rag_config", Defaults).top_k == 3
        assert context.section("metadata.deep.er", Defaults).top_k == 3
        with pytest.raises(InvalidSectionError) as caught:
            context.section("rag_config", RagConfig)
        (violation,) = caught.value.violations
        assert violation == ("rag_config.top_k", "Field required", ())


@pytest.mark.parametrize("model", [dict, RAG, "RagConfig", None], ids=repr)
def test_what_is_no_model(model: Any) -> None:
    """Anything but a class of pydantic's is a TypeError."""
    with pytest.raises(TypeError, match="BaseModel"):
        rag().section("rag_config", model)


def test_settings_read_what_is_current() -> None:
    """`settings` reads the current context, and raises as `require_context` without one."""
    with pytest.raises(NoContextError):
        settings(RagConfig)
    with use_context(rag(top_k=8)):
        assert settings(RagConfig).top_k == 8
        assert settings(Mutable, "rag_config").top_k == 8
        assert settings(Inner, section="rag_config.by_name.faq").min_score == 0.5


def test_only_so_many_models_are_kept() -> None:
    """Models that a program makes without end do not stay: the newest are kept."""
    context = rag()
    for _ in range(3 * MAX_MODELS):
        fresh: type[RagConfig] = type("RagConfig", (RagConfig,), {"__module__": __name__})
        context.section("rag_config", fresh)
        assert context.section("rag_config", fresh) is context.section("rag_config", fresh)
    section: Any = context.rag_config
    assert len(section.models) == MAX_MODELS


def test_threads_share_a_model() -> None:
    """Threads that ask at the same moment all get a right model, and the same one afterwards."""
    context = rag()
    start = threading.Barrier(8)

    def ask(_: int) -> RagConfig:
        start.wait()
        return context.section("rag_config", RagConfig)

    with ThreadPoolExecutor(8) as pool:
        assert set(map(repr, pool.map(ask, range(8)))) == {repr(RagConfig.model_validate(RAG))}
    later = [context.section("rag_config", RagConfig) for _ in range(3)]
    assert later[0] is later[1] is later[2]


def test_a_context_is_the_same_as_before(store: LocalStore) -> None:
    """Where values came from, and what they were validated into, is no part of a context."""
    own = rag()
    store.client.put(AGENT, own)
    read = store.client.get(AGENT).context
    read.section("rag_config", RagConfig)
    times = {"created_at": read.created_at, "updated_at": read.updated_at}
    assert read == own.update(**times)
    assert read.model_dump() == own.update(**times).model_dump()
    assert dict(read) == dict(own.update(**times))
    assert repr(read) == repr(own.update(**times))
    for each in (copy.copy(read), copy.deepcopy(read), pickle.loads(pickle.dumps(read))):  # noqa: S301 - ours
        assert each == read
        assert each.section("rag_config", RagConfig).top_k == 5
