"""ExecutionContext: how it is created, changed, and read from a platform's JSON."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from relevo_client import ContextKey, ExecutionContext
from support.exact import exactly
from support.strategies import key_parts, sections, texts, times

# As a platform's Redis holds it: written by another library, with times without a zone, and null
# for unknown values.
BLOB = """{
    "context_id": "ctx-81f2", "tenant_id": "acme", "agent_id": "support",
    "tenant_tier": "enterprise", "conversation_id": "c-1", "session_id": null, "user_id": "u-7",
    "llm_config": {"model": "gpt-4o", "temperature": 0.2, "max_tokens": 1024, "stop": null},
    "embedding_config": {"model": "text-embedding-3-large", "dimensions": 1536},
    "rag_config": {"collections": ["manuals", "tickets"], "top_k": 8, "min_score": 0.75},
    "agent_config": {"prompt": "You are helpful.\\nAnswer briefly.", "tools": []},
    "metadata": {}, "rate_limits": null,
    "created_at": "2025-11-03T09:15:00", "updated_at": "2025-11-03T11:15:00.123456+02:00"
}"""

contexts = st.builds(
    ExecutionContext,
    context_id=texts,
    tenant_id=texts,
    user_id=texts,
    llm_config=sections,
    agent_config=sections,
    rate_limits=sections,
    includes=st.lists(st.builds(ContextKey, key_parts, st.just("t"), key_parts), max_size=3),
    created_at=st.none() | times,
)


def test_blobs_load_as_they_are() -> None:
    """A platform's JSON loads unchanged; null means omitted, no time zone means UTC."""
    context = ExecutionContext.from_cache_dict(json.loads(BLOB))
    assert context.tenant_id == "acme"
    assert context.session_id == ""
    assert context.llm_config == {
        "model": "gpt-4o",
        "temperature": 0.2,
        "max_tokens": 1024,
        "stop": None,
    }
    assert context.rate_limits == {}
    assert context.created_at == datetime(2025, 11, 3, 9, 15, tzinfo=UTC)
    assert context.updated_at == datetime(2025, 11, 3, 9, 15, 0, 123456, tzinfo=UTC)
    assert context.includes == ()


def test_the_cache_dict_is_plain_json() -> None:
    """`to_cache_dict` returns JSON-like data with the platform's names, which may be changed."""
    blob = json.loads(BLOB)
    data = ExecutionContext.from_cache_dict(blob).to_cache_dict()
    assert data.keys() == blob.keys()
    assert data["created_at"] == "2025-11-03T09:15:00Z"
    assert data["rag_config"] == blob["rag_config"]
    data["rag_config"]["collections"].append("more")
    data["llm_config"]["model"] = "another"
    assert json.loads(json.dumps(data)) == data


@given(context=contexts)
def test_cache_dicts_lose_nothing(context: ExecutionContext) -> None:
    """Any context can be restored from its cache dict, also through JSON text."""
    text = json.dumps(context.to_cache_dict(), allow_nan=False)
    read = ExecutionContext.from_cache_dict(json.loads(text))
    assert read == context
    assert exactly(dict(read.llm_config), dict(context.llm_config))


def test_includes_are_keys_or_their_texts() -> None:
    """`includes` accepts text forms, and the cache dict has them if there are any."""
    context = ExecutionContext.from_cache_dict({"includes": ["agent_config:acme:a%3Ab"]})
    assert context.includes == (ContextKey("agent_config", "acme", "a:b"),)
    assert context.to_cache_dict()["includes"] == ["agent_config:acme:a%3Ab"]


@pytest.mark.parametrize(
    "data, path",
    [
        ({"user": "secret"}, "user"),
        ({"user_id": 31337}, "user_id"),
        ({"user_id": ["secret"]}, "user_id"),
        ({"user_id": b"secret"}, "user_id"),
        ({"user_id": "secret\ud800"}, "user_id"),
        ({"llm_config": "secret"}, "llm_config"),
        ({"llm_config": [["secret", 1]]}, "llm_config"),
        ({"llm_config": {"a": float("nan")}}, "llm_config.a"),
        ({"created_at": "secret"}, "created_at"),
        ({"created_at": {"secret": 1}}, "created_at"),
        ({"created_at": "9999-12-31T23:00:00-09:00"}, "created_at"),
        ({"created_at": "0001-01-01T00:00:00+09:00"}, "created_at"),
        ({"includes": ["secret"]}, "includes.0"),
        ({"includes": ["a:b:c", "a:b:%zz"]}, "includes.1"),
        ({"includes": "secret"}, "includes"),
        ({"create_time": "2025-11-03T09:15:00Z"}, "create_time"),
    ],
    ids=lambda value: ascii(value)[:50],
)
def test_errors_name_the_path_but_not_the_value(data: dict[str, Any], path: str) -> None:
    """An error about JSON has the path of the field, and never its value."""
    with pytest.raises(ValidationError) as caught:
        ExecutionContext.from_cache_dict(data)
    message = str(caught.value)
    assert path in message
    assert "secret" not in message
    assert "31337" not in message


def test_update_makes_a_new_one() -> None:
    """`update` returns a new context, and validates like the constructor."""
    context = ExecutionContext.from_cache_dict(json.loads(BLOB))
    changed = context.update(user_id="u-8", llm_config={"model": "another"})
    assert (changed.user_id, changed.llm_config) == ("u-8", {"model": "another"})
    assert changed.update(user_id="u-7", llm_config=context.llm_config) == context
    assert context == ExecutionContext.from_cache_dict(json.loads(BLOB))
    with pytest.raises(ValidationError, match="llm_config"):
        context.update(llm_config={"a": float("inf")})
    with pytest.raises(ValidationError, match="usr_id"):
        context.update(usr_id="u-8")
    with pytest.raises(TypeError):
        changed.llm_config["model"] = "changed"  # type: ignore[index]


@given(context=contexts, user_id=texts, section=sections)
def test_update_changes_only_what_it_names(
    context: ExecutionContext, user_id: str, section: dict[str, Any]
) -> None:
    """`update` keeps the fields that it does not name, and validates those that it names."""
    changed = context.update(user_id=user_id, metadata=section)
    expected = {**context.to_cache_dict(), "user_id": user_id, "metadata": section}
    assert changed == ExecutionContext.from_cache_dict(expected)


def test_times_are_in_utc() -> None:
    """A time without a zone is in UTC; any other is converted to UTC."""
    naive = datetime(2026, 1, 2, 3, 4, 5, 6)  # noqa: DTZ001 - what this is about
    elsewhere = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=timezone(timedelta(hours=5.5)))
    context = ExecutionContext(created_at=naive, updated_at=elsewhere)
    assert context.created_at == naive.replace(tzinfo=UTC)
    assert context.updated_at == elsewhere
    assert context.created_at is not None
    assert context.updated_at is not None
    assert context.created_at.tzinfo is context.updated_at.tzinfo is UTC
