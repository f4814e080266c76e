"""Hypothesis strategies for keys and contexts of every allowed kind, and for broken riders."""

import zlib
from datetime import datetime
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from relevo_client import ExecutionContext

EXACT = 1 << 53

on_real_servers = settings(
    max_examples=50,
    # All examples of a test share its server.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
"""Settings for properties whose every example goes over the wire."""

texts = st.text(st.characters(codec="utf-8"), max_size=12)
"""Any text that UTF-8 can represent."""

numbers = st.integers(-EXACT, EXACT) | st.floats(allow_nan=False, allow_infinity=False)
"""Any number that a double and JSON represent exactly."""

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=15,
)
"""Any value that a section may contain."""

sections = st.dictionaries(texts, json_values, max_size=5)
"""Any section."""

key_parts = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=64
)
"""Any part of a key, up to 256 bytes."""

_first, _last = datetime(1, 1, 2), datetime(9999, 12, 30)  # noqa: DTZ001 - hypothesis adds zones
times = st.datetimes(_first, _last) | st.datetimes(_first, _last, timezones=st.timezones())
"""Times with and without a time zone that UTC can represent."""

contexts = st.builds(
    ExecutionContext,
    context_id=texts,
    user_id=texts,
    llm_config=sections,
    metadata=sections,
    created_at=st.none() | times,
)
"""Any context without layers."""


def mutated(rider: bytes, data: st.DataObject) -> bytes:
    """The rider with some bytes changed, in its stream or in its message."""
    inner = data.draw(st.booleans())
    mutable = bytearray(zlib.decompress(rider) if inner else rider)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(mutable) - 1))
        match data.draw(st.sampled_from(["flip", "drop", "add", "copy"])):
            case "flip":
                mutable[at] ^= data.draw(st.integers(1, 255))
            case "drop":
                del mutable[at : at + data.draw(st.integers(1, 40))]
            case "add":
                mutable[at:at] = data.draw(st.binary(min_size=1, max_size=12))
            case _:
                mutable[at:at] = mutable[: data.draw(st.integers(1, 60))]
        if not mutable:
            break
    return zlib.compress(bytes(mutable)) if inner else bytes(mutable)
