"""docs/typed-sections.md: its code runs, its files and texts are what the page says."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from relevo_client import ContextKey, ExecutionContext, InvalidFieldError, use_context
from relevo_client.testing import LocalStore
from support.pages import DOCS, Name, Page

PAGE = Page("typed-sections.md")
TEXT = (DOCS / "typed-sections.md").read_text("utf-8")
READ = Name("Read a section as a model")
PATHS = Name("Read a section as a model", "Which section it is")
AGENT = ContextKey("agent_config", "acme", "support")


def block(language: str, number: int = 0) -> str:
    """A block of another language."""
    found: list[str] = re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
    return found[number]


def test_its_first_model() -> None:
    """The handler on the page reads the section of the current context."""
    search = PAGE.run(READ).search
    with use_context(ExecutionContext(rag_config={"collections": ["faq", "returns"]})):
        assert search("hours") == "5 hits for 'hours' in faq, returns"


def test_its_paths() -> None:
    """Each way to name a section reads it."""
    context = ExecutionContext(
        metadata={"pricing": {"currency": "EUR"}, "old_pricing": {"currency": "DEM"}}
    )
    with use_context(context):
        assert PAGE.run(PATHS).currencies(context) == ["EUR", "DEM", "EUR"]


def test_its_error() -> None:
    """The error on the page is what such a value raises."""
    with LocalStore() as store:
        store.client.put(AGENT, ExecutionContext(rag_config={"top_k": "x", "collections": []}))
        context = store.client.get(AGENT).context
    with use_context(context), pytest.raises(ValueError, match="rag_config") as caught:
        PAGE.run(READ).search("hours")
    assert str(caught.value) == " ".join(block("text").split())


def test_its_schema(tmp_path: Path) -> None:
    """A server with the settings and the schema on the page refuses a Put with the page's text."""
    schemas = tomllib.loads(block("toml"))["schemas"]
    assert list(schemas) == ["agent_config"]
    file = tmp_path / "agent_config.schema.json"
    file.write_text(json.dumps(json.loads(block("json"))))
    with LocalStore(schemas={"agent_config": file}) as store:
        store.client.put(AGENT, ExecutionContext(llm_config={"model": "m", "temperature": 1}))
        with pytest.raises(InvalidFieldError) as caught:
            store.client.put(AGENT, ExecutionContext(llm_config={"model": "m", "temperature": 3}))
    assert caught.value.reason == "SCHEMA_VIOLATION"
    assert str(caught.value) == block("text", 1).strip()
