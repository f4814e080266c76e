"""`relevo validate`: a key or a file, by models and by JSON Schemas."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from relevo_client import ContextKey, ExecutionContext
from relevo_client.testing import LocalStore
from support.servers.outcome import Relevo

AGENT = ContextKey("agent_config", "acme", "support")
CONVERSATION = ContextKey("conversation", "acme", "c-1")
SECRET = "sk-4f9a-what-nobody-is-told"  # noqa: S105 - no password
MODELS = """
from typing import ClassVar
from pydantic import BaseModel

class RagConfig(BaseModel):
    top_k: int

class Pricing(BaseModel):
    context_section: ClassVar[str] = "metadata.pricing"
    currency: str

NOTHING = 1
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, which has a module of models and a schema."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "my_models.py").write_text(MODELS)
    (tmp_path / "failing_models.py").write_text("1 / 0")
    schema = {"properties": {"rag_config": {"properties": {"top_k": {"type": "integer"}}}}}
    (tmp_path / "agent.json").write_text(json.dumps(schema))
    yield tmp_path
    sys.modules.pop("my_models", None)


def put(store: LocalStore, top_k: object) -> None:
    """Put an agent, and a conversation that includes it."""
    store.client.put(AGENT, ExecutionContext(rag_config={"top_k": top_k}))
    store.client.put(CONVERSATION, ExecutionContext(includes=(AGENT,)))


@pytest.mark.parametrize("schema", ["my_models:RagConfig", "agent.json"])
def test_a_key(store: LocalStore, relevo: Relevo, schema: str) -> None:
    """The composed context is valid, or each wrong value is named with its entry; exit code 1."""
    put(store, 5)
    valid = relevo("validate", CONVERSATION.text, "--schema", schema)
    assert (valid.code, valid.out) == (0, "valid\n")
    put(store, SECRET)
    wrong = relevo("validate", CONVERSATION.text, "--schema", schema, "--output", "json")
    document = json.loads(wrong.out)
    assert (wrong.code, document["valid"], document["key"]) == (1, False, CONVERSATION.text)
    (problem,) = document["problems"]
    assert (problem["path"], problem["entries"]) == ("rag_config.top_k", [AGENT.text])
    table = relevo("validate", CONVERSATION.text, "--schema", schema)
    assert table.code == 1
    assert AGENT.text in table.out
    assert SECRET not in table.out + table.err + wrong.out
    own = relevo("validate", CONVERSATION.text, "--own", "--schema", schema)
    assert own.code == (1 if "RagConfig" in schema else 0)  # a conversation has none of its own


def test_a_section_is_named(store: LocalStore, relevo: Relevo, folder: Path) -> None:
    """A section before `=` is validated instead of the model's own, or of the whole context."""
    (folder / "pricing.json").write_text('{"required": ["currency"]}')
    store.client.put(AGENT, ExecutionContext(metadata={"pricing": {"currency": "EUR"}, "rag": {}}))
    schemas = {
        "my_models:Pricing": 0,
        "metadata.rag=my_models:Pricing": 1,
        "metadata.pricing=pricing.json": 0,
        "metadata.rag=pricing.json": 1,
        "llm_config.deep.er=pricing.json": 1,
    }
    for schema, code in schemas.items():
        assert relevo("validate", AGENT.text, "--schema", schema).code == code, schema
    both = relevo("validate", AGENT.text, "--output", "json",
                  *(word for schema in schemas for word in ("--schema", schema)))  # fmt: skip
    assert [each["path"] for each in json.loads(both.out)["problems"]] == [
        *("metadata.rag.currency", "metadata.rag.currency", "llm_config.deep.er.currency"),
    ]


def test_a_file(offline: Relevo, folder: Path) -> None:
    """A file is validated before it is put, from standard input too, and no server is asked."""
    (folder / "good.json").write_text('{"rag_config": {"top_k": 5}, "includes": []}')
    arguments = ("--schema", "my_models:RagConfig", "--schema", "agent.json")
    assert offline("validate", "--file", "good.json", *arguments).code == 0
    bad = offline("validate", "--file", "-", *arguments, stdin='{"rag_config": {"top_k": "x"}}')
    assert (bad.code, bad.out.count("rag_config.top_k")) == (1, 2)


WRONG = {
    "no key": ((), "agent.json", "give either a key or --file"),
    "both": ((AGENT.text, "--file", "-"), "agent.json", "give either a key or --file"),
    "own file": (("--file", "-", "--own"), "agent.json", "--own goes with a key"),
    "no module": ((AGENT.text,), "nowhere:Model", "cannot import nowhere: ModuleNotFoundError"),
    "a failing module": ((AGENT.text,), "failing_models:A", "ZeroDivisionError"),
    "no such name": ((AGENT.text,), "my_models:Gone", "my_models has no Gone"),
    "no model": ((AGENT.text,), "my_models:NOTHING", "is no model"),
    "no default": ((AGENT.text,), "pydantic:RootModel", "is named like no section"),
    "no section": ((AGENT.text,), "user_id=agent.json", "must begin with one of"),
    "no file": ((AGENT.text,), "gone.json", "No such file"),
    "no schema": (("--file", "-"), "my_models.py", "is not JSON"),
    "no context": (("--file", "-"), "agent.json", "context: is not JSON"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_usage(relevo: Relevo, name: str) -> None:
    """Wrong usage ends with 2 and one line that says what is wrong."""
    arguments, schema, text = WRONG[name]
    over = relevo("validate", *arguments, "--schema", schema)
    assert (over.code, over.out) == (2, "")
    assert text in over.err
    assert len(over.err.splitlines()) == 1


def test_no_entry(store: LocalStore, relevo: Relevo) -> None:
    """A missing entry ends with 3, a missing layer with 1, as its context cannot be had."""
    assert relevo("validate", AGENT.text, "--schema", "agent.json").code == 3
    store.client.put(CONVERSATION, ExecutionContext(includes=(AGENT,)))
    over = relevo("validate", CONVERSATION.text, "--schema", "agent.json")
    assert over.code == 1
    assert "INCOMPLETE_CONTEXT" in over.err
