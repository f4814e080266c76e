"""The text form of keys, as client and server each read and write it.

The vectors are for implementations in other languages, too.
"""

import json
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from relevo_client import ContextKey, InvalidFieldError
from relevo_server.keys import Key
from support.strategies import key_parts

VECTORS = json.loads((Path(__file__).parent / "key_vectors.json").read_text("utf-8"))

# Texts that are close to the text form, so that both sides of every rule are tested.
almost_keys = st.lists(
    st.sampled_from(["a", "Z", "9", "~", ":", "%", "%3A", "%c3%a9", "%c3", "%0", "%00", "é", " "]),
    max_size=12,
).map("".join)


class Parts(NamedTuple):
    """The three parts of a key."""

    scope: str
    tenant_id: str
    id: str


parts_of_keys = st.builds(Parts, key_parts, key_parts, key_parts)


def read_by_client(text: str) -> Parts | None:
    """The client's reading, or None if it refuses the text."""
    try:
        key = ContextKey.parse(text)
    except InvalidFieldError:
        return None
    return Parts(key.scope, key.tenant_id, key.id)


def read_by_server(text: str) -> Parts | None:
    """The server's reading, or None if it refuses the text."""
    try:
        return Parts(*Key.parse(text))
    except ValueError:
        return None


def refused_by_client(parts: Parts) -> list[tuple[str, str]]:
    """The problems of a key's parts that the client reports."""
    try:
        ContextKey(*parts)
    except InvalidFieldError as error:
        return list(error.violations)
    return []


def written(parts: Parts) -> str:
    """The text form, on which client and server agree."""
    by_client, by_server = str(ContextKey(*parts)), str(Key(*parts))
    assert by_client == by_server == ContextKey(*parts).text
    return by_client


def parts_of(vector: dict[str, str]) -> Parts:
    """The parts of a vector."""
    return Parts(vector["scope"], vector["tenant_id"], vector["id"])


def short(vector: dict[str, str]) -> str:
    """A name for a vector."""
    return ascii(vector.get("why", vector["text"]))[:40]


@pytest.mark.parametrize("vector", VECTORS["canonical"], ids=short)
def test_each_key_has_one_text(vector: dict[str, str]) -> None:
    """Client and server write a vector's parts as its text, and read the parts back from it."""
    parts = parts_of(vector)
    assert written(parts) == vector["text"]
    assert read_by_client(vector["text"]) == read_by_server(vector["text"]) == parts


@pytest.mark.parametrize("vector", VECTORS["also_read"], ids=short)
def test_other_spellings_are_read(vector: dict[str, str]) -> None:
    """Unnecessary escapes, and omitted necessary ones, name the same key."""
    parts = parts_of(vector)
    assert read_by_client(vector["text"]) == read_by_server(vector["text"]) == parts
    assert written(parts) != vector["text"]


@pytest.mark.parametrize("vector", VECTORS["malformed"], ids=short)
def test_malformed_texts_are_refused(vector: dict[str, str]) -> None:
    """Both refuse a malformed text with a reason."""
    with pytest.raises(InvalidFieldError, match=r"(key|scope|tenant_id|id): .+"):
        ContextKey.parse(vector["text"])
    with pytest.raises(ValueError, match=r"(a key has the form|(scope|tenant_id|id): )"):
        Key.parse(vector["text"])


@given(parts=parts_of_keys)
def test_parts_survive_their_text(parts: Parts) -> None:
    """Any parts can be read from their text, which is plain ASCII without spaces."""
    text = written(parts)
    assert read_by_client(text) == read_by_server(text) == parts
    assert text.isascii()
    assert text.isprintable()
    assert " " not in text


@given(one=parts_of_keys, other=parts_of_keys)
@example(one=Parts("a:b", "c", "d"), other=Parts("a", "b:c", "d"))
@example(one=Parts("a%3Ab", "c", "d"), other=Parts("a:b", "c", "d"))
def test_no_two_keys_have_one_text(one: Parts, other: Parts) -> None:
    """Two texts are equal if and only if their keys are."""
    assert (written(one) == written(other)) == (one == other)


@given(text=st.text() | almost_keys)
@example("\ud800:b:c")
def test_client_and_server_read_the_same(text: str) -> None:
    """Any text is the same key for both, with a text of its own, or an error for both."""
    parts = read_by_client(text)
    assert parts == read_by_server(text)
    if parts:
        assert read_by_client(written(parts)) == parts


@given(parts=st.builds(Parts, *3 * [key_parts | st.text(st.characters(codec="utf-8"))]))
@example(Parts("x" * 256, "", "b"))
@example(Parts("x" * 257, "a", "b"))
@example(Parts("\x80", "a", "\x9f"))
def test_client_and_server_have_the_same_rules(parts: Parts) -> None:
    """Client and server refuse the same parts of keys, for the same reasons."""
    assert refused_by_client(parts) == list(Key(*parts).problems())


@pytest.mark.parametrize("part", [None, 7, b"a", "\ud800"], ids=ascii)
def test_parts_that_are_not_text_are_refused(part: object) -> None:
    """Parts that are not valid text are refused when the key is created, with the part's name."""
    with pytest.raises(InvalidFieldError) as caught:
        ContextKey("a", part, "c")  # type: ignore[arg-type]
    assert [field for field, _ in caught.value.violations] == ["tenant_id"]
