"""Sections that keep the rules are recognised without a look at each value."""

import math
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.struct_pb2 import NULL_VALUE, Struct, Value
from hypothesis import example, given
from hypothesis import strategies as st
from relevo.v1.context_pb2 import ExecutionContext
from relevo_server.wire.contexts import context_problems, key_of
from relevo_server.wire.recognition import is_recognised
from relevo_server.wire.sections import MAX_DEPTH, problems
from support.clients.calls import context, key
from support.strategies import texts

UNKNOWN = b"\xfa\x3e\x05newer"
"""Field 1007, of a newer contract than this one."""

numbers = st.floats() | st.integers(-(1 << 53), 1 << 53) | st.just(math.nan)
leaves: st.SearchStrategy[Value] = st.one_of(
    st.builds(Value, string_value=texts),
    st.builds(Value, number_value=numbers),
    st.builds(Value, bool_value=st.booleans()),
    st.just(Value(null_value=NULL_VALUE)),
    st.just(Value()),
    st.sampled_from([UNKNOWN, b"\x08\x05", b"\x10\x01", b"\x1a\x01x" + UNKNOWN]).map(
        Value.FromString
    ),
)
"""Values of any kind, with those that break the rules, or are of a newer contract."""


def of_list(values: list[Value]) -> Value:
    """A list of values."""
    found = Value()
    found.list_value.values.extend(values)
    return found


def of_struct(values: dict[str, Value]) -> Value:
    """A struct of values."""
    found = Value(struct_value=Struct())
    for name, value in values.items():
        found.struct_value.fields[name].CopyFrom(value)
    return found


values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3).map(of_list)
        | st.dictionaries(texts, inner, max_size=3).map(of_struct)
    ),
    max_leaves=8,
)


def nested(wrap: Callable[[Value], Value], levels: int, last: Value) -> Value:
    """A value within so many others."""
    for _ in range(levels):
        last = wrap(last)
    return last


def in_list(value: Value) -> Value:
    """A list of one value."""
    return of_list([value])


def in_struct(value: Value) -> Value:
    """A struct of one value."""
    return of_struct({"k": value})


def with_section(value: Value) -> ExecutionContext:
    """A context with a value in one of its sections, among others."""
    found = context(user_id="u", llm_config={"model": "m"}, rate_limits={"a": 1})
    found.metadata.fields["v"].CopyFrom(value)
    return found


def recognised(found: ExecutionContext) -> bool:
    """Whether a context is recognised as a Put has it."""
    return is_recognised(found.SerializeToString(deterministic=True))


@given(values)
@example(nested(in_list, 40, Value(bool_value=True)))
@example(nested(in_struct, 32, Value(bool_value=True)))
@example(nested(in_list, 31, Value.FromString(UNKNOWN)))
@example(nested(in_struct, 25, Value.FromString(UNKNOWN)))
@example(nested(in_struct, 14, Value.FromString(UNKNOWN)))
@example(nested(in_list, 14, Value()))
def test_no_broken_section_is_recognised(value: Value) -> None:
    """What is recognised has no value that breaks a rule, at any level."""
    found = with_section(value)
    if recognised(found):
        assert not list(problems(found.metadata, ""))


@pytest.mark.parametrize("sign", [0, 1 << 63])
@pytest.mark.parametrize("fraction", [0, 1, 1 << 51, (1 << 52) - 1])
def test_any_number_that_is_none(sign: int, fraction: int) -> None:
    """Infinities and NaN are not recognised, whatever their other bits are."""
    bits = (sign | 0x7FF << 52 | fraction).to_bytes(8, "little")
    assert not recognised(with_section(Value.FromString(b"\x11" + bits)))


USUAL: Any = {
    "texts": {"text": "line\nline\ttab", "empty": "", "größe": "日本語 😀"},
    "numbers": {"a": 0.1, "b": -0.0, "c": 1e308, "d": 5e-324, "e": 1024, "f": -(2**53)},
    "kinds": {"yes": True, "no": False, "none": None, "list": [], "object": {}},
    "inner": {"a": [[{"b": [1, "x", None]}]], "c": {"d": {"e": {"f": {}}}}},
}


@pytest.mark.parametrize("section", USUAL.values(), ids=USUAL.keys())
def test_usual_sections_are_recognised(section: dict[str, Any]) -> None:
    """Sections of every kind of value are recognised: they are not looked at one by one."""
    assert recognised(context(user_id="u", tenant_id="acme", llm_config=section, metadata=section))


def test_levels_that_are_not_recognised_are_allowed() -> None:
    """What is too deep to be recognised keeps the rules up to their own limit."""
    deep = with_section(nested(in_list, MAX_DEPTH - 1, Value(bool_value=True)))
    assert not recognised(deep)
    serialized = deep.SerializeToString(deterministic=True)
    assert not list(context_problems(deep, serialized, key_of(key())))
