"""Agent management's configurations, and how they change."""

from typing import Any

import pytest
from nooble.configuration import Configurations, UnknownError, collections_of, versions_of
from pydantic import ValidationError
from relevo_client import ContextKey, ExecutionContext

AGENT = ContextKey("agent_config", "acme", "support")
MANUALS = ContextKey("collection_config", "acme", "manuals")
LETTERS = ContextKey("collection_config", "acme", "letters")


@pytest.fixture
def configurations() -> Configurations:
    """An agent with two collections."""
    agent = ExecutionContext(
        tenant_id="acme",
        llm_config={"model": "small"},
        rag_config={"collections": ["manuals", "letters"], "top_k": 2},
        metadata={"owner": "ops"},
    )
    manuals = ExecutionContext(
        tenant_id="acme",
        llm_config={"model": "large", "temperature": 0.0},
        rag_config={"manuals": {"chunk_size": 8}, "top_k": 9},
    )
    letters = ExecutionContext(tenant_id="acme", llm_config={"temperature": 0.5})
    return Configurations({AGENT: agent, MANUALS: manuals, LETTERS: letters})


def test_versions_begin(configurations: Configurations) -> None:
    """Each configuration has its version under its own key, beside its other metadata."""
    assert configurations.get(AGENT).metadata == {"owner": "ops", AGENT.text: 1}
    assert versions_of(configurations.get(AGENT).metadata) == {AGENT.text: 1}
    assert versions_of({"other_config:a:b": 1, "agent_config": 2}) == {}


def test_composed(configurations: Configurations) -> None:
    """An agent's own values override its collections', and a later collection's the others'."""
    composed = configurations.composed(AGENT)
    assert composed.llm_config == {"model": "small", "temperature": 0.5}
    assert composed.rag_config["top_k"] == 2
    assert composed.rag_config["manuals"] == {"chunk_size": 8}
    assert versions_of(composed.metadata) == {AGENT.text: 1, MANUALS.text: 1, LETTERS.text: 1}


def test_collections(configurations: Configurations) -> None:
    """An agent's collections are of its own tenant, in the order in which it names them."""
    assert list(collections_of(AGENT, configurations.get(AGENT))) == [MANUALS, LETTERS]


def test_a_change(configurations: Configurations) -> None:
    """A change replaces only the named values, and increases only this configuration's version."""
    changed = configurations.change(
        AGENT, {"llm_config": {"model": "new"}, "rate_limits": {"n": 1}}
    )
    assert configurations.get(AGENT) == changed
    assert changed.llm_config == {"model": "new"}
    assert changed.rate_limits == {"n": 1}
    assert changed.rag_config["top_k"] == 2
    assert changed.metadata == {"owner": "ops", AGENT.text: 2}
    assert versions_of(configurations.composed(AGENT).metadata)[MANUALS.text] == 1


def test_versions_are_not_for_change(configurations: Configurations) -> None:
    """Metadata may be changed, but the version only increases by one."""
    changed = configurations.change(AGENT, {"metadata": {"owner": "dev", AGENT.text: 99}})
    assert changed.metadata == {"owner": "dev", AGENT.text: 2}


@pytest.mark.parametrize(
    "changes",
    [
        ["llm_config"],
        "llm_config",
        {"no_such_section": {"a": 1}},
        {"tenant_id": {"a": 1}},
        {"llm_config": 5},
        {"llm_config": None},
        {"llm_config": [["model", "new"]]},
        {"llm_config": {"model": object()}},
    ],
)
def test_no_changes(configurations: Configurations, changes: Any) -> None:
    """A change must be new values by section and name, else it is refused and changes nothing."""
    before = configurations.get(AGENT)
    with pytest.raises(ValueError):  # noqa: PT011 - any of them, pydantic's too
        configurations.change(AGENT, changes)
    assert configurations.get(AGENT) is before
    assert issubclass(ValidationError, ValueError)


def test_unknown(configurations: Configurations) -> None:
    """An unknown configuration can be neither read nor changed."""
    nobody = ContextKey("agent_config", "acme", "nobody")
    for ask in (configurations.get, configurations.composed):
        with pytest.raises(UnknownError):
            ask(nobody)
    with pytest.raises(UnknownError):
        configurations.change(nobody, {})
