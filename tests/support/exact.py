"""Equality that distinguishes 1 from 1.0 and True, and 0.0 from -0.0."""

import math
from typing import Any, TypeGuard

EXACT = 1 << 53


def exactly(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same, types and signs of zero included."""
    if _is_dict(one) and _is_dict(other):
        return one.keys() == other.keys() and all(exactly(one[key], other[key]) for key in one)
    if _is_list(one) and _is_list(other):
        return len(one) == len(other) and all(map(exactly, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return one == other and math.copysign(1, one) == math.copysign(1, other)
    return type(one) is type(other) and bool(one == other)


def as_read(value: Any) -> Any:
    """A JSON value as it is read back from the wire: integral numbers become int.

    Only if that loses nothing: not -0.0, and no number beyond 2^53.
    """
    if _is_dict(value):
        return {key: as_read(item) for key, item in value.items()}
    if _is_list(value):
        return [as_read(item) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) <= EXACT:
        return value if exactly(value, -0.0) else int(value)
    return value


def _is_dict(value: Any) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def _is_list(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)
