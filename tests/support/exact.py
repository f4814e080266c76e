"""Equality that tells 1 from 1.0 and True, and 0.0 from -0.0."""

import math
from typing import Any

EXACT = 1 << 53


def exactly(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same, types and signs of zero included."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(exactly(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(exactly, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return one == other and math.copysign(1, one) == math.copysign(1, other)
    return type(one) is type(other) and bool(one == other)


def as_read(value: Any) -> Any:
    """What the wire makes of a JSON value: integral numbers come back as int.

    Only where nothing is lost by it: not -0.0, and nothing beyond 2^53.
    """
    match value:
        case float() if value.is_integer() and abs(value) <= EXACT and not exactly(value, -0.0):
            return int(value)
        case dict():
            return {key: as_read(item) for key, item in value.items()}
        case list():
            return [as_read(item) for item in value]
        case _:
            return value
