"""A check that objects of the blocking kind and of the asyncio kind are not mixed."""

from typing import NamedTuple


class Kind(NamedTuple):
    """A class of one kind, blocking or asyncio, and its name with an article for error texts."""

    type: type
    name: str


def must_not_be(other: Kind, value: object, user: str, *, needed: Kind, instead: str = "") -> None:
    """Raise TypeError if a value is of the kind `other`, while `user` needs the kind `needed`.

    `instead` names the counterpart of `user` that takes a value of the other kind, if there is
    one.
    """
    if isinstance(value, other.type):
        text = f"{user} needs {needed.name}, and got {other.name}"
        raise TypeError(f"{text}: for that there is {instead}" if instead else text)
