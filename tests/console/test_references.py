"""References as people paste them."""

import json

import pytest
from relevo_console.references import parse
from relevo_server.keys import Key

KEY = Key("conversation", "acme", "c-1")
TEXT = str(KEY)
SPAN = json.dumps(
    {
        "attributes": [
            {"key": "relevo.context.key", "value": {"stringValue": TEXT}},
            {"key": "relevo.context.revision", "value": {"intValue": "12"}},
        ]
    }
)


@pytest.mark.parametrize(
    "text",
    [
        f"{TEXT}@12",
        f"  {TEXT}@12\n",
        f"2026-11-30 12:03:22 INFO turn ended ref={TEXT}@12 in 57 ms",
        f"context-key: {TEXT}\ncontext-revision: 12",
        f"Context-Revision: 12\r\nContext-Key: {TEXT}",
        f"relevo.context.key={TEXT} relevo.context.revision=12 relevo.context.age=0.1",
        json.dumps({"time": "12:03:22", "context_key": TEXT, "context_revision": 12}),
        SPAN,
    ],
)
def test_where_references_are_found(text: str) -> None:
    """A reference is found alone, in logs, headers, and attributes of traces."""
    assert parse(text) == (KEY, 12)


@pytest.mark.parametrize("text", [TEXT, f"context-key: {TEXT}", f'"key": "{TEXT}"'])
def test_keys_without_a_revision(text: str) -> None:
    """A key alone is a reference without a revision."""
    assert parse(text) == (KEY, 0)


def test_encoded_parts() -> None:
    """Parts are decoded, and encoded again in the text form."""
    found = parse("agent_config:a%3Ab:x%20y@7")
    assert found == (Key("agent_config", "a:b", "x y"), 7)
    assert str(found) == "agent_config:a%3Ab:x%20y@7"


@pytest.mark.parametrize(
    "text",
    ["", "acme", "12:03:22 something", "a:b", f"{TEXT}@{1 << 63}", f"{TEXT}@{'9' * 40}", "a:%zz:c"],
)
def test_what_is_no_reference(text: str) -> None:
    """What is no reference is refused, without a quotation."""
    with pytest.raises(ValueError, match=r"reference|revision|escape|parts") as raised:
        parse(text)
    assert not text or text not in str(raised.value)
