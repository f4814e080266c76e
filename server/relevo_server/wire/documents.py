"""Contexts as JSON, by the names of the contract: what the schemas of the settings describe."""

from collections.abc import Callable
from typing import Any

from google.protobuf.struct_pb2 import ListValue, Struct, Value
from relevo.v1.context_pb2 import ExecutionContext

_EXACT = 1 << 53
"""The largest absolute value up to which a double holds every integer exactly."""
_OF_THE_STORE = frozenset({"create_time", "update_time", "composed_from"})


def document_of(context: ExecutionContext) -> dict[str, Any]:
    """A context as JSON: the identity fields and sections that are set, and `includes`.

    A section that was put without keys is an empty object.
    """
    document: dict[str, Any] = {}
    for field, value in context.ListFields():
        if field.name == "includes":
            document[field.name] = [
                {"scope": key.scope, "tenant_id": key.tenant_id, "id": key.id} for key in value
            ]
        elif field.name not in _OF_THE_STORE:
            document[field.name] = plain(value, _exact) if isinstance(value, Struct) else value
    return document


def plain(section: Struct, number: Callable[[float], float] = float) -> dict[str, Any]:
    """A section as JSON, with each number as `number` returns it: by default a double, as it is."""
    return {name: _of_value(value, number) for name, value in section.fields.items()}


def _of_value(value: Value, number: Callable[[float], float]) -> Any:
    kind = value.WhichOneof("kind")
    if kind is None or kind == "null_value":
        return None
    found: Any = getattr(value, kind)
    if isinstance(found, float):
        return number(found)
    if isinstance(found, Struct):
        return plain(found, number)
    if isinstance(found, ListValue):
        return [_of_value(each, number) for each in found.values]
    return found


def _exact(number: float) -> float:
    """A number of JSON: without a fraction, it is an integer."""
    return int(number) if number.is_integer() and abs(number) <= _EXACT else number
