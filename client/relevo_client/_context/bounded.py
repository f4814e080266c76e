"""`Bounded`: a cache for all threads of a process, with bounds on its entries and bytes."""

from collections import OrderedDict
from collections.abc import Hashable
from contextlib import suppress
from typing import Generic, TypeVar

_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")


class Bounded(Generic[_K, _V]):
    """Values by keys; the least recently used are dropped.

    It has no lock, which a forked child could find held: each step on the dict is atomic in
    CPython if hashing and comparing keys runs no Python code. So keys are bytes, or tuples of
    built-in values.
    """

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._values: OrderedDict[_K, tuple[_V, int]] = OrderedDict()
        self.size = 0
        """The bytes of all values together, as `put` was told."""

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: _K) -> _V | None:
        """The value of a key, which is now the most recently used one; None if there is none."""
        found = self._values.get(key)
        if found is None:
            return None
        with suppress(KeyError):  # another thread has dropped it
            self._values.move_to_end(key)
        return found[0]

    def put(self, key: _K, value: _V, size: int) -> None:
        """Keep a value that takes this many bytes."""
        before = self._values.pop(key, None)
        self.size += size - (before[1] if before else 0)
        self._values[key] = value, size
        while len(self._values) > self._max_entries or self.size > self._max_bytes:
            try:
                _, (_, dropped) = self._values.popitem(last=False)
            except KeyError:  # another thread has dropped the last one
                return
            self.size -= dropped
