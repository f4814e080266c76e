"""The rules of a context's sections: JSON, no deeper than every parser can read."""

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from google.protobuf.struct_pb2 import ListValue, Struct, Value

from relevo_server.errors import Violation

MAX_DEPTH = 32
"""Levels of structs and lists, the section included. Parsers of protobuf stop at 100 levels of
messages; each of these takes up to three, and a BatchGet's response wraps them in four."""


class _Within(NamedTuple):
    """The path of a value. It becomes text only in an error, because callers choose its length."""

    outer: "_Within | str"
    name: str | int

    def __str__(self) -> str:
        last = f"[{self.name}]" if isinstance(self.name, int) else f".{self.name}"
        return f"{self.outer}{last}"


def path_text(root: str, path: Iterable[str | int]) -> str:
    """A path of keys and indexes as text, below `root`."""
    within: _Within | str = root
    for name in path:
        within = _Within(within, name)
    return str(within)


def problems(section: Struct, path: str) -> Iterator[Violation]:
    """The broken rules of a section's values, by their paths."""
    # Nearly all sections keep the rules, and to see that takes half as long without paths.
    if not _are_sound(section.fields.values(), 1):
        yield from _of_struct(section, path, 0)


def _are_sound(values: Iterable[Value], depth: int) -> bool:
    """Whether values keep the rules; `depth` is the number of levels around them."""
    for value in values:
        match value.WhichOneof("kind"):
            case "string_value" | "bool_value" | "null_value":
                is_sound = True
            case "number_value":
                is_sound = math.isfinite(value.number_value)
            case "struct_value":
                inner = value.struct_value.fields.values()
                is_sound = depth < MAX_DEPTH and _are_sound(inner, depth + 1)
            case "list_value":
                is_sound = depth < MAX_DEPTH and _are_sound(value.list_value.values, depth + 1)
            case None:
                is_sound = False
        if not is_sound:
            return False
    return True


def _of_struct(struct: Struct, path: _Within | str, depth: int) -> Iterator[Violation]:
    for name, value in struct.fields.items():
        yield from _of_value(value, _Within(path, name), depth + 1)


def _of_value(value: Value, path: _Within, depth: int) -> Iterator[Violation]:
    match value.WhichOneof("kind"):
        case "struct_value" | "list_value" if depth >= MAX_DEPTH:
            yield path, f"must not be nested deeper than {MAX_DEPTH} levels"
        case "number_value" if not math.isfinite(value.number_value):
            yield path, "must be a finite number"
        case "struct_value":
            yield from _of_struct(value.struct_value, path, depth)
        case "list_value":
            items: ListValue = value.list_value
            for i, item in enumerate(items.values):
                yield from _of_value(item, _Within(path, i), depth + 1)
        case None:
            yield path, "must have a value; null is one"
        case _:
            pass
