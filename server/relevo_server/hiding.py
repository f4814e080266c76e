"""Keeps values and tokens out of `repr` and `str`: sizes stand in their place.

What `repr` returns ends in tracebacks and in logs of libraries. The client has the same module:
neither side imports the other.
"""

from collections.abc import Callable, Mapping, Sized
from dataclasses import fields
from typing import Any, TypeVar

_Class = TypeVar("_Class", bound=type)


class Hidden:
    """Stands for a value in a `repr`: its size, or its type if it has none."""

    __slots__ = ("_shown",)

    def __init__(self, value: object) -> None:
        self._shown = f"<{_size_of(value)}>" if value else repr(value)

    def __repr__(self) -> str:
        return self._shown


def hides(*names: str) -> Callable[[_Class], _Class]:
    """A decorator for a dataclass or a NamedTuple: `repr` shows these fields as sizes."""

    def decorate(cls: _Class) -> _Class:
        untyped: Any = cls
        every = getattr(cls, "_fields", None) or [field.name for field in fields(untyped)]
        if not set(names) <= set(every):
            raise TypeError(f"{cls.__name__} has no field {set(names) - set(every)}")

        def shown(self: object) -> str:
            values = [(name, getattr(self, name)) for name in every]
            parts = [f"{n}={Hidden(v) if n in names else v!r}" for n, v in values]
            return f"{cls.__name__}({', '.join(parts)})"

        untyped.__repr__ = shown
        return cls

    return decorate


def _size_of(value: object) -> str:
    match value:
        case str():
            return f"{len(value)} characters"
        case bytes():
            return f"{len(value)} bytes"
        case Sized():
            count = len(value)
            return f"{count} keys" if isinstance(value, Mapping) else f"{count} items"
        case _:
            return type(value).__name__
