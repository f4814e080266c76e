"""DomainAction: the values that it accepts, and that it survives the wire and JSON."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from relevo.v1 import action_pb2
from relevo_client import ContextKey, ContextRef, InvalidFieldError
from relevo_client.actions import DomainAction
from support.strategies import json_values, key_parts, sections, texts, times

REVISION = (1 << 62) + 1  # above the exact integers of a double

refs = st.builds(
    ContextRef,
    st.builds(ContextKey, key_parts, key_parts, key_parts),
    st.integers(0, (1 << 63) - 1),
)
parts = st.text(st.characters(codec="utf-8", exclude_characters="."), min_size=1, max_size=6)
types = st.builds("{}.{}.{}".format, parts, parts, parts)
actions = st.builds(
    DomainAction,
    action_id=texts.filter(bool),
    action_type=types,
    task_id=texts,
    tenant_id=texts,
    tenant_tier=texts,
    agent_id=texts,
    session_id=texts,
    conversation_id=texts,
    user_id=texts,
    origin_service=texts,
    correlation_id=texts,
    callback_queue=texts,
    callback_action_type=st.just("") | types,
    context_ref=st.none() | refs,
    payload=sections,
    metadata=sections,
    trace_context=st.dictionaries(texts, texts, max_size=3),
    created_at=st.none() | times,
)
"""Any action."""

few = settings(max_examples=30)


def minimal(**fields: Any) -> DomainAction:
    """An action with only these fields and the required ones."""
    return DomainAction(action_type="query.search.run", **fields)


@few
@given(actions)
def test_the_message_has_all_of_it(action: DomainAction) -> None:
    """An action survives its message, serialized or not."""
    message = action_pb2.DomainAction.FromString(action.to_message().SerializeToString())
    assert DomainAction.from_message(message) == action


@few
@given(actions)
def test_json_has_all_of_it(action: DomainAction) -> None:
    """An action survives JSON, as text and as data."""
    assert DomainAction.model_validate_json(action.model_dump_json()) == action
    data = json.loads(json.dumps(action.model_dump(mode="json")))
    assert DomainAction.model_validate(data) == action
    assert DomainAction.model_validate(action.model_dump()) == action


def test_the_model_has_the_fields_of_the_message() -> None:
    """The model has every field of the contract under its own name, but the creation time."""
    names = {field.name for field in action_pb2.DomainAction.DESCRIPTOR.fields}
    assert set(DomainAction.model_fields) == names - {"create_time"} | {"created_at"}


def test_fields_of_a_newer_contract_survive() -> None:
    """A field that this version does not know survives a service, with or without an update."""
    unknown = b"\xaa\x06\x05later"  # field 101
    message = action_pb2.DomainAction.FromString(
        minimal().to_message().SerializeToString() + unknown
    )
    action = DomainAction.from_message(message)
    assert action.to_message().SerializeToString().endswith(unknown)
    assert action.update(task_id="t").to_message().SerializeToString().endswith(unknown)


def test_a_reference_in_json_has_two_names() -> None:
    """JSON has the key's text form, and the revision as a string, which no parser rounds."""
    ref = ContextRef(ContextKey("conversation", "a:b", "c 1"), REVISION)
    data = minimal(context_ref=ref).model_dump(mode="json")
    assert data["context_cache_key"] == "conversation:a%3Ab:c%201"
    assert data["context_revision"] == str(REVISION)
    assert "context_ref" not in data
    assert not {"context_cache_key", "context_revision"} & set(minimal().model_dump())


@pytest.mark.parametrize(
    "written, revision",
    [("", 0), (', "context_revision": null', 0), (', "context_revision": ""', 0)]
    + [(f', "context_revision": {form}', REVISION) for form in (REVISION, f'"{REVISION}"')],
)
def test_how_a_revision_may_be_written(written: str, revision: int) -> None:
    """A revision is a decimal string or a number, and 0 if it is missing."""
    key = '"context_cache_key": "conversation:acme:c-1"'
    action = DomainAction.model_validate_json(f'{{"action_type": "a.b.c", {key}{written}}}')
    assert action.context_ref == ContextRef(ContextKey("conversation", "acme", "c-1"), revision)


@pytest.mark.parametrize("key", [None, ""])
def test_no_key_is_no_reference(key: str | None) -> None:
    """Without a key there is no reference, with any revision."""
    data = {"action_type": "a.b.c", "context_cache_key": key, "context_revision": "7"}
    action = DomainAction.model_validate(data)
    assert action.context_ref is None
    assert not action.model_extra


@pytest.mark.parametrize(
    "field, value",
    [
        ("action_type", ""),
        ("action_type", "search.run"),
        ("action_type", "query..run"),
        ("action_type", "query.search.run.now"),
        ("callback_action_type", "done"),
        ("action_id", ""),
        ("task_id", 7),
        ("context_cache_key", "conversation:acme"),
        ("context_cache_key", "conversation::c-1"),
        ("context_cache_key", 7),
        ("context_revision", "-1"),
        ("context_revision", "1e3"),
        ("context_revision", 1.5),
        ("context_revision", True),
        ("context_revision", str(1 << 63)),
        ("payload", {"secret": float("nan")}),
        ("payload", {"secret": 1 << 60}),
        ("payload", ["secret"]),
        ("metadata", {7: "secret"}),
        ("trace_context", {"traceparent": 7}),
        ("created_at", "secret"),
    ],
)
def test_what_is_malformed_is_named(field: str, value: object) -> None:
    """An error names the malformed field, and nothing of its value."""
    data = {"action_type": "a.b.c", "context_cache_key": "conversation:acme:c-1", field: value}
    with pytest.raises(ValidationError) as raised:
        DomainAction.model_validate(data)
    assert field in str(raised.value)
    if field != "payload":  # whose path the error may have
        assert "secret" not in str(raised.value)


def test_two_references_that_differ_are_refused() -> None:
    """Two references that differ are refused."""
    one = ContextRef(ContextKey("conversation", "acme", "c-1"))
    with pytest.raises(ValidationError, match="context_ref: differs from context_cache_key"):
        minimal(context_ref=one, context_cache_key="conversation:acme:c-2")


@few
@given(st.dictionaries(texts.map("x-{}".format), json_values | st.just(1 << 60), max_size=3))
def test_names_that_only_a_platform_knows_survive(extra: dict[str, Any]) -> None:
    """Unknown names in JSON are kept with their numbers, also by an update."""
    text = json.dumps({"action_type": "a.b.c", **extra})
    action = DomainAction.model_validate_json(text).update(task_id="t")
    kept = json.loads(action.model_dump_json())
    assert {name: kept[name] for name in extra} == extra


def test_a_message_has_no_place_for_other_names() -> None:
    """`to_message` refuses names that the message cannot hold, and lists them."""
    with pytest.raises(InvalidFieldError) as raised:
        minimal(priority=3).to_message()
    assert raised.value.violations == (("priority", "has no place in the message"),)


@pytest.mark.parametrize(
    "field, message",
    [
        ("action_type", action_pb2.DomainAction(action_id="a", action_type="run")),
        ("action_id", action_pb2.DomainAction(action_type="a.b.c")),
        ("scope", action_pb2.DomainAction(context_ref={"revision": 3})),
        ("create_time", action_pb2.DomainAction(create_time={"seconds": 1 << 50})),
    ],
)
def test_a_malformed_message_is_refused(field: str, message: action_pb2.DomainAction) -> None:
    """A malformed message is refused by the same rules as JSON."""
    with pytest.raises(InvalidFieldError) as raised:
        DomainAction.from_message(message)
    assert field in [name for name, _ in raised.value.violations]


def test_an_action_cannot_be_changed() -> None:
    """Actions are frozen at every level."""
    action = minimal(payload={"a": [1]})
    with pytest.raises(ValidationError):
        action.task_id = "t"
    with pytest.raises(TypeError):
        action.payload["a"].append(2)


def test_each_action_has_an_id_of_its_own() -> None:
    """An action without an id gets one."""
    assert minimal().action_id != minimal().action_id
