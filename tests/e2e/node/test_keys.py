"""The text form of keys, as Node.js reads and writes it."""

import json
from dataclasses import asdict

import pytest
from e2e.node.running import SOURCES, Functions, Refused
from hypothesis import example, given
from hypothesis import strategies as st
from relevo_client import ContextKey, InvalidFieldError
from support.strategies import key_parts, on_real_servers

VECTORS = json.loads((SOURCES.parents[1] / "contract" / "key_vectors.json").read_text("utf-8"))


def short(vector: dict[str, str]) -> str:
    """A name for a vector."""
    return ascii(vector.get("why", vector["text"]))[:40]


def parts_of(vector: dict[str, str]) -> dict[str, str]:
    """The parts of a vector."""
    return {name: vector[name] for name in ("scope", "tenant_id", "id")}


@pytest.mark.parametrize("vector", VECTORS["canonical"], ids=short)
def test_each_key_has_one_text(functions: Functions, vector: dict[str, str]) -> None:
    """Node.js writes a vector's parts as its text, and reads the parts back from it."""
    assert functions("keyText", parts_of(vector)) == vector["text"]
    assert functions("parseKey", vector["text"]) == parts_of(vector)


@pytest.mark.parametrize("vector", VECTORS["also_read"], ids=short)
def test_other_spellings_are_read(functions: Functions, vector: dict[str, str]) -> None:
    """Unnecessary escapes, and omitted necessary ones, name the same key."""
    assert functions("parseKey", vector["text"]) == parts_of(vector)


@pytest.mark.parametrize("vector", VECTORS["malformed"], ids=short)
def test_malformed_texts_are_refused(functions: Functions, vector: dict[str, str]) -> None:
    """Node.js refuses a malformed text."""
    with pytest.raises(Refused) as refused:
        functions("parseKey", vector["text"])
    assert refused.value.kind == "InvalidKey"


@on_real_servers
@given(text=st.text() | st.lists(st.sampled_from(["a", ":", "%", "3A", "é", "\0"])).map("".join))
@example("\ud800:b:c")
def test_node_and_python_read_the_same(functions: Functions, text: str) -> None:
    """Any text is the same key for both, or an error for both."""
    try:
        expected = asdict(ContextKey.parse(text))
    except InvalidFieldError:
        with pytest.raises(Refused):
            functions("parseKey", text)
    else:
        assert functions("parseKey", text) == expected


@on_real_servers
@given(parts=st.tuples(*3 * [key_parts | st.text()]))
@example(("x" * 257, "a", "b"))
@example(("\x80", "a", "b"))
def test_node_and_python_write_the_same(functions: Functions, parts: tuple[str, ...]) -> None:
    """Any parts have the same text for both, or are an error for both."""
    names = dict(zip(("scope", "tenant_id", "id"), parts, strict=True))
    try:
        expected = ContextKey(*parts).text
    except InvalidFieldError:
        with pytest.raises(Refused):
            functions("keyText", names)
    else:
        assert functions("keyText", names) == expected
