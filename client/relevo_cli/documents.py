"""JSON as commands read and print it: contexts of users, and messages of the server."""

import json
import math
from collections.abc import Iterator
from typing import TypeAlias

from google.protobuf import json_format
from google.protobuf.message import Message
from relevo.v1 import store_pb2

from relevo_cli.failures import UsageError

_EXACT = 1 << 53

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"


def read_context(text: str, request: store_pb2.PutRequest) -> None:
    """Set a request's context from JSON. Raises UsageError, which names the path."""
    try:
        data: Json = json.loads(text)
        inexact = next(_inexact(data, "context"), None)
    except ValueError as error:
        raise UsageError(f"context: is not JSON: {error}") from None
    except RecursionError:
        raise UsageError("context: is nested too deeply") from None
    if not isinstance(data, dict):
        raise UsageError("context: must be a JSON object")
    if inexact:
        raise UsageError(f"{inexact}: a number that JSON cannot hold exactly")
    try:
        json_format.ParseDict(data, request.context)
    except json_format.ParseError as error:
        raise UsageError(f"context: {str(error).splitlines()[0]}") from None
    request.context.SetInParent()


def _inexact(value: Json, path: str) -> Iterator[str]:
    """The paths of numbers that a Struct would change: big integers, NaN, infinities."""
    match value:
        case bool():
            pass
        case int() if not -_EXACT <= value <= _EXACT:
            yield path
        case float() if not math.isfinite(value):
            yield path
        case dict():
            for name, item in value.items():
                yield from _inexact(item, f"{path}.{name}")
        case list():
            for i, item in enumerate(value):
                yield from _inexact(item, f"{path}[{i}]")
        case _:
            pass


def of_message(message: Message, *, is_complete: bool = False) -> dict[str, Json]:
    """A message as JSON, with the contract's names of fields.

    With `is_complete`, it also has fields that are 0, false or empty.
    """
    document: dict[str, Json] = json_format.MessageToDict(
        message,
        preserving_proto_field_name=True,
        always_print_fields_with_no_presence=is_complete,
    )
    return {name: _integral(value) for name, value in document.items()}


def _integral(value: Json) -> Json:
    """The same JSON with 5 for 5.0, because a Struct has doubles only."""
    match value:
        case float() if value.is_integer() and abs(value) <= _EXACT:
            return int(value)
        case dict():
            return {name: _integral(item) for name, item in value.items()}
        case list():
            return [_integral(item) for item in value]
        case _:
            return value
