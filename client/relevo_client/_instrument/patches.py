"""Attributes of libraries' classes that are replaced, and put back."""

from collections.abc import Callable
from typing import Any, NamedTuple, Self


class Patch(NamedTuple):
    """An attribute of a class that was replaced.

    Classes are patched, and not the functions that make their objects: a module may have imported
    those before, and other instrumentations replace them and put them back in their own order.
    """

    owner: type
    name: str
    original: Any
    replacement: Any

    @classmethod
    def make(cls, owner: type, name: str, replace: Callable[[Any], Any]) -> Self:
        """Replace an attribute by `replace(original)`. Raises AttributeError if it is missing."""
        original = vars(owner).get(name)
        if original is None:
            raise AttributeError(f"{owner.__module__}.{owner.__qualname__} has no {name}")
        patch = cls(owner, name, original, replace(original))
        setattr(owner, name, patch.replacement)
        return patch

    def undo(self) -> None:
        """Put the original back.

        If somebody else has replaced the attribute since, it stays: the replacement within it
        does nothing any more.
        """
        if vars(self.owner).get(self.name) is self.replacement:
            setattr(self.owner, self.name, self.original)
