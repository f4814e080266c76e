"""Immutable subclasses of dict and list.

Contexts are shared between calls, so their sections must not change. As subclasses of dict and
list they work in all code that takes JSON-like data: json.dumps, `**kwargs`, comparisons.
"""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, NoReturn


def _refuse(*_: Any, **__: Any) -> NoReturn:
    raise TypeError("a context cannot be changed; its update() makes a new one")


class FrozenDict(dict[str, Any]):
    """An immutable dict. `copy.deepcopy` returns a mutable copy."""

    __slots__ = ("models",)

    models: Mapping[type, Any]
    """The dict as instances of models, by their classes; not set before the first validation."""

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __copy__(self) -> "FrozenDict":
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        return {key: deepcopy(value, memo) for key, value in self.items()}

    def __reduce__(self) -> tuple[Any, ...]:
        return FrozenDict, (dict(self),)


class FrozenList(list[Any]):
    """An immutable list. `copy.deepcopy` returns a mutable copy."""

    __slots__ = ()

    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = clear = extend = insert = pop = remove = reverse = sort = _refuse

    def __copy__(self) -> "FrozenList":
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> list[Any]:
        return [deepcopy(item, memo) for item in self]

    def __reduce__(self) -> tuple[Any, ...]:
        return FrozenList, (list(self),)
