"""The values of a section: what is allowed, and that they never change on their way."""

import json
import math
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError
from relevo.v1 import store_pb2
from relevo_client import AsyncContextClient, ContextKey, ExecutionContext, InvalidFieldError
from support.clients.calls import Stub
from support.exact import EXACT, as_read, exactly
from support.failures import failure_of
from support.strategies import on_real_servers, sections

KEY = ContextKey("conversation", "acme", "values")
MAX_DEPTH = 32

FORBIDDEN: dict[str, Any] = {
    "NaN": math.nan,
    "infinity": math.inf,
    "-infinity": -math.inf,
    "2^53 + 1": EXACT + 1,
    "-(2^53 + 1)": -EXACT - 1,
    "10^400": 10**400,
    "tuple": ("secret",),
    "set": {"secret"},
    "frozenset": frozenset({"secret"}),
    "Decimal": Decimal("31337.5"),
    "Fraction": Fraction(31337, 2),
    "complex": 31337j,
    "bytes": b"secret",
    "bytearray": bytearray(b"secret"),
    "datetime": datetime(2013, 3, 7, tzinfo=UTC),
    "date": datetime(2013, 3, 7, tzinfo=UTC).date(),
    "UUID": uuid.UUID(int=31337),
    "object": object(),
    "lone surrogate": "secret \ud800",
    "key that is an int": {31337: "secret"},
    "key that is None": {None: "secret"},
    "key with a lone surrogate": {"\udfff": "secret"},
    "range": range(3),
    "generator": (n for n in [31337]),
}


def nested(levels: int, wrap: Callable[[Any], Any], value: Any = 7) -> Any:
    """A value within this many containers."""
    for _ in range(levels):
        value = wrap(value)
    return value


@on_real_servers
@given(section=sections)
@example({"": "", "a.b": None, "`": [], "{}": {}, "t": True, "f": [False, 0, 1]})
@example({"n": [0, -0.0, 0.0, 5.0, 0.1, EXACT, -EXACT, float(EXACT), 2.0**53 + 2, 1e300, 5e-324]})
@example({"text": "\x00 \x7f \ufeff \u2028 \U0010ffff", "n\u00f6": {"e\u0301": "\u00e9"}})
async def test_values_survive_the_store(
    client: AsyncContextClient, section: dict[str, Any]
) -> None:
    """Every allowed value is returned by the store unchanged; integral numbers as int."""
    await client.put(KEY, ExecutionContext(llm_config=section))
    read = (await client.get(KEY)).context.llm_config
    assert exactly(read, as_read(section))


@given(section=sections)
def test_values_are_kept_as_given(section: dict[str, Any]) -> None:
    """A context keeps its values unchanged, and its JSON text reads the same."""
    context = ExecutionContext(rag_config=section)
    assert exactly(context.rag_config, section)
    assert exactly(json.loads(json.dumps(context.rag_config)), section)


@pytest.mark.parametrize("value", FORBIDDEN.values(), ids=FORBIDDEN)
def test_forbidden_values_are_refused_by_their_path(value: Any) -> None:
    """A value that a double or JSON cannot hold is refused with its path, and never quoted."""
    with pytest.raises(ValidationError) as caught:
        ExecutionContext(llm_config={"fine": 1, "a": {"b": [0, value]}})
    message = str(caught.value)
    assert "llm_config.a.b[1]" in message
    assert "secret" not in message
    assert "31337" not in message
    assert "2013" not in message


@pytest.mark.parametrize("value", FORBIDDEN.values(), ids=FORBIDDEN)
async def test_updates_refuse_the_same(client: AsyncContextClient, value: Any) -> None:
    """`update` refuses the same values as the constructor, before it sends anything."""
    with pytest.raises(InvalidFieldError, match=r"llm_config\.a") as caught:
        await client.update(KEY, {"llm_config": {"a": value}})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("value", [None, [], "text", 7, [("a", 1)], {1: 2}.items()], ids=ascii)
def test_a_section_is_a_mapping(value: object) -> None:
    """A section must be a mapping, even if dict() would accept other values."""
    with pytest.raises(ValidationError, match="metadata"):
        ExecutionContext(metadata=value)  # type: ignore[arg-type]


@given(
    section=sections,
    bad=st.sampled_from([math.nan, EXACT + 1, "\ud800", b"", {1: 1}]),
    steps=st.lists(st.sampled_from(["key", "item"]), max_size=8),
)
def test_a_forbidden_value_is_found_wherever_it_is(
    section: dict[str, Any], bad: Any, steps: list[str]
) -> None:
    """A forbidden value at any depth is refused with its path, never dropped or changed."""
    value, path = bad, ""
    for step in steps:
        if step == "key":
            value, path = {"k": value}, f".k{path}"
        else:
            value, path = [None, value], f"[1]{path}"
    with pytest.raises(ValidationError) as caught:
        ExecutionContext(agent_config={**section, "bad": value})
    assert f"agent_config.bad{path}:" in str(caught.value)


DEEPEST = {
    "dicts": {"a": nested(MAX_DEPTH - 1, lambda value: {"a": value})},
    "lists": {"a": nested(MAX_DEPTH - 1, lambda value: [value])},
    "lists of dicts": {"a": nested(MAX_DEPTH // 2 - 1, lambda value: {"a": [value]}, [7])},
}


@pytest.mark.parametrize("section", DEEPEST.values(), ids=DEEPEST)
async def test_the_deepest_nesting_passes(
    client: AsyncContextClient, section: dict[str, Any]
) -> None:
    """32 levels of nesting pass through every call that carries a context."""
    await client.put(KEY, ExecutionContext(llm_config=section))
    await client.update(KEY, {"rag_config": section})
    head = ContextKey("conversation", "acme", "head")
    await client.put(head, ExecutionContext(includes=(KEY,)))
    (batched,) = await client.batch_get([KEY])
    entries = [await client.get(KEY), batched, await client.resolve(head)]
    for entry in entries:
        assert not isinstance(entry, Exception)
        assert exactly(entry.context.llm_config, section)
        assert exactly(entry.context.rag_config, section)


@pytest.mark.parametrize("section", DEEPEST.values(), ids=DEEPEST)
def test_deeper_nesting_is_refused(section: dict[str, Any]) -> None:
    """More than 32 levels are refused by their path when the context is created."""
    for deeper in ({"a": section}, {"a": [section]}, {"a": nested(10_000, lambda value: [value])}):
        with pytest.raises(ValidationError, match="32 levels"):
            ExecutionContext(llm_config=deeper)


async def test_the_store_takes_nothing_that_could_not_be_read(
    stub: Stub, client: AsyncContextClient
) -> None:
    """The store refuses, by its path, a Put that nests deeper than an answer can carry.

    Protobuf's parsers stop at 100 levels of messages, and answers wrap a context in more of them
    than a Put does: otherwise, one such Put would make the entry unreadable.
    """
    await client.put(KEY, ExecutionContext(user_id="u1"))
    request = store_pb2.PutRequest(key=KEY.to_message())
    request.context.llm_config.update(nested(MAX_DEPTH + 1, lambda value: {"a": value}))
    failure = await failure_of(stub.Put(request))
    assert failure.reason == "INVALID_FIELD"
    assert failure.fields[0].startswith("context.llm_config.a")
    assert (await client.get(KEY)).context.user_id == "u1"
