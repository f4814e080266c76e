"""How a reference is written into call metadata, and read from it."""

from collections.abc import Iterable
from functools import lru_cache

from relevo_client._context.errors import InvalidFieldError
from relevo_client._context.keys import ContextKey, ContextRef

KEY = "context-key"
REVISION = "context-revision"
MAX_BYTES = 512
"""Names and values of both entries together."""
MAX_TEXT_BYTES = MAX_BYTES - len(KEY) - len(REVISION) - 19
"""Of a key's text form that always fits, whatever the revision beside it."""

Pairs = Iterable[tuple[str, str | bytes]]


@lru_cache(maxsize=4096)
def encode(ref: ContextRef) -> tuple[tuple[str, str], tuple[str, str]]:
    """The two entries of a reference.

    Raises InvalidFieldError where they would have more than 512 bytes.
    """
    pairs = (KEY, ref.key.text), (REVISION, str(ref.revision))
    size = sum(len(name) + len(value) for name, value in pairs)
    if size > MAX_BYTES:
        raise InvalidFieldError(
            [("key", f"takes {size} bytes as metadata, at most {MAX_BYTES} are allowed")]
        )
    return pairs


def names_a_context(metadata: Pairs | None) -> bool:
    """Whether a call already says which context it is about, or says a part of it."""
    for name, _ in metadata or ():  # noqa: SIM110 - every call comes by, and any() costs more
        if name in (KEY, REVISION):
            return True
    return False


def decode(metadata: Pairs | None) -> ContextRef | None:
    """The reference that a call carries, None where it carries none.

    Raises InvalidFieldError where it is malformed, or where there are two
    different ones: then nobody can tell which one is meant.
    """
    keys: list[str] = []
    revisions: list[str] = []
    for name, value in metadata or ():
        if name == KEY:
            keys.append(str(value))
        elif name == REVISION:
            revisions.append(str(value))
    if not keys:
        return None
    return _reference(
        _single_value(keys, KEY), _single_value(revisions, REVISION) if revisions else "0"
    )


def _single_value(values: list[str], name: str) -> str:
    if len(values) == 1 and "," not in values[0]:
        return values[0].strip()
    # Entries that come several times may arrive joined by commas; no text form has one.
    different = {each.strip() for value in values for each in value.split(",")}
    if len(different) > 1:
        raise InvalidFieldError([(name, "must be there once")])
    return different.pop()


# The same few references arrive again and again. What is refused takes no room here.
@lru_cache(maxsize=4096)
def _reference(text: str, revision: str) -> ContextRef:
    if len(KEY) + len(text) > MAX_BYTES:
        raise InvalidFieldError([(KEY, f"must have at most {MAX_BYTES} bytes")])
    if not (revision.isascii() and revision.isdecimal() and len(revision) <= 19):
        raise InvalidFieldError([(REVISION, "must be a decimal number from 0 to 2^63 - 1")])
    ref = ContextRef(_key(text), int(revision))
    encode(ref)  # what could not be passed on is refused here
    return ref


# Revisions change more often than keys.
_key = lru_cache(maxsize=4096)(ContextKey.parse)
