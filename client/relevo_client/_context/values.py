"""The values that a section may hold, and their conversion to a protobuf Struct and back.

A Struct holds JSON values, with doubles for numbers. Values that it cannot hold exactly are
refused with their path: NaN, infinities, integers beyond 2^53, keys that are not strings, other
types. Values from a Struct are frozen; integral numbers become int.
"""

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, cast

from google.protobuf.struct_pb2 import Struct, Value

from relevo_client._context.errors import InvalidFieldError
from relevo_client._context.frozen import FrozenDict, FrozenList

EXACT = 1 << 53
"""The largest absolute value up to which a double holds every integer exactly."""
MAX_DEPTH = 32
"""Levels of nested dicts and lists, including the section. protobuf's parsers stop at 100 levels
of messages; each level here takes up to three, and a BatchGet's answer wraps them in four."""
_SHORT = 64
"""Characters up to which a text is shared: names and settings recur in many contexts."""
_NOTHING = FrozenDict()


def freeze(value: object, path: str, depth: int = 0) -> Any:
    """A frozen copy of `value`, which is at `path`.

    Raises InvalidFieldError with the path if a Struct cannot hold it exactly.
    """
    match value:
        case None | bool():
            return value
        case str():
            if not _is_unicode(value):
                raise _refusal(path, "must be valid Unicode")
            return value
        case int():
            if not -EXACT <= value <= EXACT:
                raise _refusal(path, "an integer beyond 2^53 cannot be held exactly")
            return value
        case float():
            if not math.isfinite(value):
                raise _refusal(path, "must be a finite number")
            return value
        case dict() | list() if depth >= MAX_DEPTH:
            raise _refusal(path, f"must not be nested deeper than {MAX_DEPTH} levels")
        case dict():
            return freeze_section(cast("dict[object, object]", value), path, depth)
        case list():
            return FrozenList(
                freeze(item, f"{path}[{i}]", depth + 1)
                for i, item in enumerate(cast("list[object]", value))
            )
        case _:
            raise _refusal(path, f"cannot hold a value of type {type(value).__name__}")


def freeze_section(section: Mapping[object, object], path: str, depth: int = 0) -> FrozenDict:
    """A frozen copy of a section. Raises InvalidFieldError as `freeze` does."""
    frozen: dict[str, Any] = {}
    for key, value in section.items():
        if not isinstance(key, str):
            raise _refusal(path, f"has a key of type {type(key).__name__}; keys are strings")
        if not _is_unicode(key):
            raise _refusal(path, "has a key that is not valid Unicode")
        frozen[key] = freeze(value, f"{path}.{key}", depth + 1)
    return FrozenDict(frozen)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True


def _refusal(path: str, problem: str) -> InvalidFieldError:
    return InvalidFieldError([(path, problem)])


def fill_struct(struct: Struct, section: Mapping[str, Any]) -> None:
    """Write a frozen section into an empty Struct."""
    for key, value in section.items():
        fill_value(struct.fields[key], value)


def fill_value(message: Value, value: Any) -> None:
    """Write a frozen value into an empty Value."""
    match value:
        case None:
            message.null_value = 0  # type: ignore[assignment]
        case bool():
            message.bool_value = value
        case str():
            message.string_value = value
        case int() | float():
            message.number_value = value
        case dict():
            message.struct_value.SetInParent()
            fill_struct(message.struct_value, cast("dict[str, Any]", value))
        case _:
            message.list_value.SetInParent()
            for item in value:
                fill_value(message.list_value.values.add(), item)


def read_struct(struct: Struct) -> FrozenDict:
    """The frozen section in a Struct."""
    fields = {shared(key): _read_value(value) for key, value in struct.fields.items()}
    return FrozenDict(fields) if fields else _NOTHING


def _read_value(value: Value) -> Any:
    match value.WhichOneof("kind"):
        case "string_value":
            text = value.string_value
            return shared(text) if len(text) <= _SHORT else text
        case "number_value":
            return _number(value.number_value)
        case "bool_value":
            return value.bool_value
        case "struct_value":
            return read_struct(value.struct_value)
        case "list_value":
            return FrozenList([_read_value(item) for item in value.list_value.values])
        case _:
            return None


@lru_cache(maxsize=4096)
def shared(text: str) -> str:
    """One shared copy of an equal text. Not sys.intern, which may keep the text for ever."""
    return text


def _number(number: float) -> int | float:
    # Beyond 2^53 a double stands for several integers, and -0.0 is not 0: both stay
    # doubles, so that every value that was read can be written again.
    if number.is_integer() and abs(number) <= EXACT and (number or math.copysign(1, number) > 0):
        return int(number)
    return number
