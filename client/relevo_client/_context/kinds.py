"""Blocking or asyncio: what is of one kind cannot work with what is of the other."""

from typing import NamedTuple


class Kind(NamedTuple):
    """A class of one kind, and its name with an article, for error texts."""

    type: type
    name: str


def must_not_be(other: Kind, value: object, user: str, *, needed: Kind, instead: str = "") -> None:
    """Raise TypeError if a value is of the other kind than `user` needs.

    `instead` is what takes a value of the other kind, if anything does.
    """
    if isinstance(value, other.type):
        text = f"{user} needs {needed.name}, and got {other.name}"
        raise TypeError(f"{text}: for that there is {instead}" if instead else text)
