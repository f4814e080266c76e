"""The findings of checks: of settings and a store, or of a server that runs."""

from typing import Literal, NamedTuple

Level = Literal["ok", "warning", "wrong"]


class Finding(NamedTuple):
    """The result of one check."""

    check: str
    level: Level
    """`wrong` keeps servers from working, or loses data; `warning` may."""
    text: str
    advice: str = ""
    """The advice, if there is any."""
