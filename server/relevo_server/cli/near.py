"""The real name that somebody may have meant."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, known: Iterable[str], *, alike: float = 0.6) -> str | None:
    """The known name that is most like a wrong one; None if none is `alike`, 1.0 for the same."""
    return next(iter(get_close_matches(name, list(known), n=1, cutoff=alike)), None)


def hint(name: str, known: Iterable[str]) -> str:
    """`; did you mean …?` for a name that is not known, or nothing."""
    meant = nearest(name, known)
    return f"; did you mean {meant}?" if meant else ""
