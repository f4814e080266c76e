"""Suggests the valid name that a misspelled one may mean."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, valid: Iterable[str], *, similarity: float = 0.6) -> str | None:
    """The valid name most similar to `name`, or None.

    `similarity` is the least that counts, from 0.0 to 1.0 for equal names (difflib's ratio).
    """
    return next(iter(get_close_matches(name, list(valid), n=1, cutoff=similarity)), None)


def hint(name: str, valid: Iterable[str]) -> str:
    """`; did you mean …?` with the valid name most similar to `name`, or ""."""
    suggestion = nearest(name, valid)
    return f"; did you mean {suggestion}?" if suggestion else ""
