"""The form of an agent's configuration."""

from typing import Any

import pytest
from nooble.page.agents import agents, collections_of
from nooble.page.forms import Field, changes_of, fields_of
from relevo_client import ContextKey
from relevo_demo import files

MARKED = "sk-marked-4711"
COLLECTIONS = ["returns", "shipping"]
ENTRY: dict[str, Any] = {
    "llm_config": {"model": "m-1", "temperature": 0.2, "max_tokens": 60, "api_key": MARKED},
    "agent_config": {"cite_sources": False, "system_prompt": "Be kind. " * 9},
    "rag_config": {"collections": ["returns", "shipping"], "top_k": 2},
    "embedding_config": {"model": "hashed-ngrams", "ngram_range": [3, 5]},
    "metadata": {"agent_config:meridian:support": 3},
}


def entered(**changes: str) -> dict[str, str]:
    """What a browser sends of the form: nothing of a box that is not ticked."""
    texts = {each.path: each.text for each in fields_of(ENTRY)}
    texts |= {path.replace("__", "."): text for path, text in changes.items()}
    return {
        path: text for path, text in texts.items() if text or path != "agent_config.cite_sources"
    }


def errors_of(**changes: str) -> dict[str, str]:
    """The errors of what was entered."""
    return changes_of(ENTRY, entered(**changes), COLLECTIONS)[1]


def field(path: str, fields: list[Field] | None = None) -> Field:
    """One field."""
    return next(each for each in fields or fields_of(ENTRY) if each.path == path)


def test_each_value_has_the_control_of_its_type() -> None:
    """Numbers, texts, boxes, lists and choices are told by the entry's values."""
    assert {each.path: each.kind for each in fields_of(ENTRY)} == {
        "llm_config.model": "text",
        "llm_config.temperature": "number",
        "llm_config.max_tokens": "number",
        "llm_config.api_key": "secret",
        "agent_config.cite_sources": "boolean",
        "agent_config.system_prompt": "long",
        "rag_config.collections": "list",
        "rag_config.top_k": "number",
        "embedding_config.model": "choice",
        "embedding_config.ngram_range": "list",
    }
    assert (field("llm_config.max_tokens").step, field("llm_config.temperature").step) == (
        "1",
        "any",
    )


def test_a_secret_is_not_in_the_form() -> None:
    """Its field is empty, and empty it stays as it is; a new one can be set."""
    assert MARKED not in repr(fields_of(ENTRY))
    assert changes_of(ENTRY, entered(), COLLECTIONS) == ({}, {})
    changes, _ = changes_of(ENTRY, entered(llm_config__api_key="new"), COLLECTIONS)
    assert changes == {"llm_config": {"api_key": "new"}}
    again = fields_of(ENTRY, entered(llm_config__api_key="new"), {})
    assert not field("llm_config.api_key", again).text


def test_only_what_differs_is_changed() -> None:
    """Values keep their types, and those that are the same are not sent."""
    changes, errors = changes_of(
        ENTRY,
        entered(
            llm_config__temperature="0.5",
            agent_config__cite_sources="on",
            rag_config__collections=" shipping \n\n",
            embedding_config__ngram_range="2\r\n4",
        ),
        COLLECTIONS,
    )
    assert not errors
    assert changes == {
        "llm_config": {"temperature": 0.5},
        "agent_config": {"cite_sources": True},
        "rag_config": {"collections": ["shipping"]},
        "embedding_config": {"ngram_range": [2, 4]},
    }


@pytest.mark.parametrize("text", ["", "many", "1.5", "-1", "1e400", str(2**60)])
def test_a_whole_number(text: str) -> None:
    """What is no whole number from 0 is refused, at its field."""
    assert errors_of(llm_config__max_tokens=text).keys() == {"llm_config.max_tokens"}


@pytest.mark.parametrize("text", ["", "warm", "nan", "inf", "-0.1"])
def test_a_number(text: str) -> None:
    """The same for a number."""
    assert errors_of(llm_config__temperature=text).keys() == {"llm_config.temperature"}


def test_what_the_platform_cannot_work_with() -> None:
    """Unknown models and collections, empty texts and lists, and ranges upside down are refused."""
    errors = errors_of(
        embedding_config__model="gone",
        embedding_config__ngram_range="5\n3",
        rag_config__collections="returns\nmissing",
        rag_config__top_k="0",
        agent_config__system_prompt="  ",
    )
    assert errors.keys() == {
        "embedding_config.model",
        "embedding_config.ngram_range",
        "rag_config.collections",
        "rag_config.top_k",
        "agent_config.system_prompt",
    }
    assert "missing" in errors["rag_config.collections"]


def test_what_was_entered_is_shown_again_with_its_error() -> None:
    """After an error nothing that was entered is lost."""
    texts = entered(llm_config__max_tokens="many", llm_config__model="m-2")
    _, errors = changes_of(ENTRY, texts, COLLECTIONS)
    again = fields_of(ENTRY, texts, errors)
    assert (field("llm_config.max_tokens", again).text, field("llm_config.model", again).text) == (
        "many",
        "m-2",
    )
    assert field("llm_config.max_tokens", again).error


@pytest.mark.parametrize("agent", agents().values(), ids=lambda agent: agent.id)
def test_every_agent_has_a_form(agent: Any) -> None:
    """Each value of each agent's entry comes back from its form as it was."""
    key = ContextKey("agent_config", agent.tenant_id, agent.agent_id)
    entry = files.configurations()[key].to_cache_dict()
    texts = {each.path: each.text for each in fields_of(entry)}
    assert changes_of(entry, texts, collections_of(agent.tenant_id)) == ({}, {})
    assert len(texts) > 15
