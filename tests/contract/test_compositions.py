"""The server composes contexts as its clients do, and knows where each value came from."""

from dataclasses import replace
from typing import Any

from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st
from relevo.v1.context_pb2 import ExecutionContext as Message
from relevo_client import ContextKey, ExecutionContext
from relevo_client._context import codec
from relevo_client._context.entry import composed
from relevo_server.wire import masks
from relevo_server.wire.composition import SECTIONS, compose, origins
from support.entries import entry_of
from support.strategies import json_values, texts

keys = st.sampled_from(["model", "top-p", "a`b", "", "é", "limits", "a.b"]) | texts
sections = st.dictionaries(keys, json_values, max_size=4)
contexts = st.builds(
    ExecutionContext,
    user_id=st.sampled_from(["", "u"]),
    agent_id=st.sampled_from(["", "a"]),
    llm_config=sections,
    rag_config=sections,
    metadata=sections,
)
stacks = st.lists(contexts, min_size=1, max_size=4)


def messages(stack: list[ExecutionContext]) -> list[Message]:
    """The contexts as messages."""
    return [codec.context_to_message(each) for each in stack]


@given(stacks)
def test_server_and_client_compose_alike(stack: list[ExecutionContext]) -> None:
    """The server's composition of the same entries is the client's."""
    *below, head = stack
    layers = [
        replace(entry_of("", key=ContextKey("agent_config", "acme", f"l{i}")), context=context)
        for i, context in enumerate(below)
    ]
    fields: dict[str, Any] = {**dict(head), "includes": [layer.key for layer in layers]}
    including = ExecutionContext(**fields)
    entry = replace(entry_of("head"), context=including, layers=tuple(layers))
    of_client = composed(entry).context
    of_server = compose([*messages(below), codec.context_to_message(including)])
    assert codec.context_from_message(of_server) == of_client


def value_at(context: Message, path: masks.Path) -> tuple[bool, Any]:
    """Whether a context has a value at a path, and the value."""
    name, *rest = path
    if not rest:
        return True, getattr(context, name)
    found: Any = MessageToDict(getattr(context, name))
    for part in rest:
        try:
            found = found[part]
        except (KeyError, TypeError):  # TypeError: a value that is no object
            return False, None
    return True, found


@given(stacks)
def test_every_value_has_an_origin(stack: list[ExecutionContext]) -> None:
    """Each value is named once, by a path of an update mask, with the part that has it.

    No later part has its section's key, and to write all of the paths writes the whole context.
    """
    parts = messages(stack)
    whole = compose(parts)
    found = list(origins(whole, parts))
    paths = [path for path, _ in found]
    assert len(paths) == len(set(paths))
    parsed = masks.parse(paths) or []
    assert [masks.text(path) for path in parsed] == paths
    for path, (_, part) in zip(parsed, found, strict=True):
        assert value_at(whole, path) == value_at(parts[part], path)
        assert value_at(whole, path)[0]
        if len(path) > 1:
            later = (getattr(each, path[0]).fields for each in parts[part + 1 :])
            assert not any(path[1] in fields for fields in later)
        else:
            assert part == len(parts) - 1
    target = Message()
    masks.apply(parsed, whole, target)
    for section in SECTIONS:
        assert getattr(target, section) == getattr(whole, section)
    assert target.user_id == whole.user_id


def test_a_value_is_replaced_as_a_whole() -> None:
    """An object in a section is not merged with the layer's: it has one origin as a whole."""
    layer = Message(llm_config={"limits": {"a": 1, "b": 2}, "model": "m"})
    head = Message(llm_config={"limits": {"b": 3}})
    whole = compose([layer, head])
    assert MessageToDict(whole.llm_config) == {"limits": {"b": 3}, "model": "m"}
    assert list(origins(whole, [layer, head])) == [
        ("llm_config.limits.b", 1),
        ("llm_config.model", 0),
    ]


def test_too_many_paths() -> None:
    """If the paths take more than 512 KiB, further values are named by their section's keys."""
    deep: dict[str, Any] = {f"k{i}": i for i in range(40)}
    for _ in range(28):
        deep = {"x" * 400: deep}
    parts = [Message(llm_config={"a": deep, "b": deep, "c": {"d": 1}})]
    found = [path for path, _ in origins(compose(parts), parts)]
    assert found[-2:] == ["llm_config.b", "llm_config.c"]
    assert sum(map(len, found)) < 600_000
    assert len(found) == 42


def test_paths_count_in_bytes() -> None:
    """The limit of the paths is one of bytes, whatever characters their keys have."""
    deep: dict[str, Any] = {f"k{i}": i for i in range(40)}
    for _ in range(28):
        deep = {"\u20ac" * 400: deep}
    parts = [Message(llm_config={"a": deep})]
    assert list(origins(compose(parts), parts)) == [("llm_config.a", 0)]
