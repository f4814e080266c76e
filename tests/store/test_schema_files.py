"""Files of JSON Schemas: what can be used, and what a problem says."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from relevo.v1.context_pb2 import ContextKey, ContextRef, ExecutionContext
from relevo_server.diagnosis import of_schemas
from relevo_server.schemas import MAX_FILE_BYTES, of_file, read
from relevo_server.settings import Settings
from relevo_server.wire.documents import document_of
from support.strategies import json_values, sections

WRONG: dict[str, tuple[str, str]] = {
    "no JSON": ("{", "is not JSON at line 1 column 2"),
    "no UTF-8": ("\udcff", "is not UTF-8"),
    "no object": ("[]", "must be a JSON object"),
    "not a number": ('{"minimum": NaN}', "is no JSON"),
    "deep": ("[" * 100_000, "is nested too deeply"),
    "large": (" " * (MAX_FILE_BYTES + 1), "has more than 1048576 bytes"),
    "no schema": ('{"properties": {"a": {"type": "text"}}}', "at #/properties/a/type"),
    "another file": ('{"$ref": "other.json"}', "other.json"),
    "a file's address": ('{"$ref": "file:///etc/passwd"}', "Retrieval is disabled"),
    "the network": ('{"$ref": "https://example.com/a.json"}', "Retrieval is disabled"),
    "another dialect": ('{"$schema": "https://example.com/schema"}', "Unknown meta-schema"),
    "nothing there": ('{"$ref": "#/$defs/a"}', "/$defs/a"),
    "a pattern that looks back": (r'{"pattern": "(a+)+\\1"}', "at #/pattern"),
    "an unknown format": ('{"format": "colour"}', "colour"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_file_that_cannot_be_used(tmp_path: Path, name: str) -> None:
    """It is refused, with its scope, its path and the place in it."""
    text, problem = WRONG[name]
    file = tmp_path / "schema.json"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError, match=r"^schemas\.agent_config: ") as caught:
        read({"agent_config": file})
    assert str(file) in str(caught.value)
    assert problem in str(caught.value)
    (finding,) = of_schemas({"agent_config": file})
    assert (finding.level, finding.text) == ("wrong", str(caught.value))


def test_all_files_are_looked_at(tmp_path: Path) -> None:
    """Each file that cannot be used has a line; without one, `relevo check` finds nothing wrong."""
    good = tmp_path / "good.json"
    good.write_text("{}")
    files = {"a": tmp_path / "gone.json", "b": good, "c": tmp_path}
    with pytest.raises(ValueError, match=r"schemas\.a: .*No such file") as caught:
        read(files)
    assert [line.partition(":")[0] for line in str(caught.value).splitlines()] == [
        "schemas.a", "schemas.c",
    ]  # fmt: skip
    (finding,) = of_schemas({"b": good})
    assert (finding.level, finding.text) == ("ok", "of b")
    assert list(of_schemas({})) == []


def test_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without jsonschema_rs, the error says how to install it; without schemas nobody needs it."""
    monkeypatch.setitem(sys.modules, "jsonschema_rs", None)
    file = tmp_path / "schema.json"
    file.write_text("{}")
    with pytest.raises(ValueError, match=r"pip install 'relevo\[schemas\]'"):
        read({"agent_config": file})
    assert read({}) == {}


def test_snapshots_have_none(tmp_path: Path) -> None:
    """A schema for the scope `snapshot` is refused: it would refuse turns, and no owner's Put."""
    with pytest.raises(ValidationError, match="snapshot: cannot have a schema"):
        Settings(schemas={"snapshot": tmp_path})
    assert Settings(schemas={"agent_config": tmp_path}).schemas == {"agent_config": tmp_path}


RULES: dict[str, tuple[dict[str, Any], object, str]] = {
    "type": ({"type": ["integer", "null"]}, "x", "must be of the type null or integer"),
    "enum": ({"enum": ["a", "b"]}, "x", 'must be one of ["a", "b"]'),
    "const": ({"const": {"a": 1}}, "x", 'must be {"a": 1}'),
    "minimum": ({"minimum": 2}, 1, "must be at least 2"),
    "maximum": ({"maximum": 2}, 3, "must be at most 2"),
    "above": ({"exclusiveMinimum": 2}, 2, "must be more than 2"),
    "below": ({"exclusiveMaximum": 2}, 2, "must be less than 2"),
    "multiple": ({"multipleOf": 2}, 3, "must be a multiple of 2"),
    "short": ({"minLength": 2}, "x", "must have at least 2 characters"),
    "long": ({"maxLength": 2}, "xxx", "must have at most 2 characters"),
    "pattern": ({"pattern": "^a+$"}, "x", "must match the pattern ^a+$"),
    "format": ({"format": "uuid"}, "x", "must be of the format uuid"),
    "few": ({"minItems": 2}, [], "must have at least 2 items"),
    "many": ({"maxItems": 0}, [1], "must have at most 0 items"),
    "twice": ({"uniqueItems": True}, [1, 1], "must not have the same item twice"),
    "contains": ({"contains": {"const": 1}}, [2], "must have an item that fits"),
    "few keys": ({"minProperties": 1}, {}, "must have at least 1 keys"),
    "many keys": ({"maxProperties": 0}, {"a": 1}, "must have at most 0 keys"),
    "names": ({"propertyNames": {"maxLength": 1}}, {"ab": 1}, "has a key that breaks a rule: must"),
    "any": ({"anyOf": [{"minimum": 2}, {"type": "null"}]}, 1, "at least one of the schemas of any"),
    "one": ({"oneOf": [{"minimum": 2}, {"type": "null"}]}, 1, "one of the schemas of oneOf"),
    "two": ({"oneOf": [{"minimum": 0}, {"minimum": 1}]}, 1, "only one of the schemas of oneOf"),
    "not": ({"not": {"minimum": 0}}, 1, "must not fit"),
    "false": ({"items": False}, [1], "is not allowed by the schema"),
    "unevaluated": ({"unevaluatedProperties": False}, {"a": 1}, "is not allowed by the schema"),
    "dependent": ({"dependentRequired": {"a": ["b"]}}, {"a": 1}, "must be given"),
}


@pytest.mark.parametrize("name", RULES)
def test_what_a_problem_says(tmp_path: Path, name: str) -> None:
    """Each rule has a sentence, which quotes the schema; alone, the first broken one has it too."""
    rule, value, text = RULES[name]
    file = tmp_path / "schema.json"
    file.write_text(json.dumps({"properties": {"llm_config": {"properties": {"a": rule}}}}))
    schema = of_file(file)
    document = {"llm_config": {"a": value}}
    for only_first in (False, True):
        (problem,) = schema.problems(document, only_first=only_first)
        assert problem.path[:2] == ("llm_config", "a")
        assert text in problem.description
    assert list(schema.problems({"llm_config": {}})) == []


@given(value=json_values)
def test_no_problem_quotes_a_value(value: object) -> None:
    """Whatever a value is, its problems say the same as of any other that breaks the rule."""
    import tempfile  # noqa: PLC0415 - a fixture would be shared by all examples

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "schema.json"
        file.write_text('{"properties": {"secret": {"const": "?"}}}')
        problems = list(of_file(file).problems({"secret": value}))
    assert [each.description for each in problems] == ['must be "?"'] * (value != "?")


@given(section=sections, other=st.none() | sections)
def test_a_context_as_json(section: dict[str, Any], other: dict[str, Any] | None) -> None:
    """A context is the JSON that it was made of, without the store's times and empty fields."""
    context = ExecutionContext(user_id="u", composed_from=[ContextRef(revision=1)])
    context.llm_config.update(section)
    context.create_time.FromSeconds(1)
    context.includes.append(ContextKey(scope="agent_config", tenant_id="acme", id="a"))
    expected: dict[str, Any] = {
        "user_id": "u",
        "includes": [{"scope": "agent_config", "tenant_id": "acme", "id": "a"}],
    }
    if section:
        expected["llm_config"] = section
    if other is not None:
        context.metadata.update(other)
        context.metadata.SetInParent()
        expected["metadata"] = other
    assert document_of(context) == expected
