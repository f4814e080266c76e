"""Writes references to call metadata, and reads them."""

import re
from collections.abc import Iterable
from functools import lru_cache

from relevo_client._context.errors import InvalidFieldError
from relevo_client._context.keys import ContextKey, ContextRef

KEY = "context-key"
REVISION = "context-revision"
SIGNATURE = "context-signature"
MAX_BYTES = 512
"""The limit of the names and values of key and revision together."""
MAX_SIGNATURE_BYTES = 128
"""The limit of a signature."""
MAX_TEXT_BYTES = MAX_BYTES - len(KEY) - len(REVISION) - 19
"""The longest text form of a key that fits with any revision."""

_SIGNATURE = re.compile(r"[A-Za-z0-9._-]*")

Pairs = Iterable[tuple[str, str | bytes]]


def encode(ref: ContextRef) -> tuple[tuple[str, str], ...]:
    """The metadata entries of a reference: two, or three if it is signed.

    Raises InvalidFieldError if key and revision take more than 512 bytes, or for a malformed
    signature.
    """
    return _entries(ref.key, ref.revision, ref.signature)


# By the parts: references that differ in their signatures alone are equal.
@lru_cache(maxsize=4096)
def _entries(key: ContextKey, revision: int, signature: str) -> tuple[tuple[str, str], ...]:
    pairs = (KEY, key.text), (REVISION, str(revision))
    size = sum(len(name) + len(value) for name, value in pairs)
    if size > MAX_BYTES:
        raise InvalidFieldError(
            [("key", f"takes {size} bytes as metadata, at most {MAX_BYTES} are allowed")]
        )
    if not signature:
        return pairs
    if len(signature) > MAX_SIGNATURE_BYTES or not _SIGNATURE.fullmatch(signature):
        raise InvalidFieldError([(SIGNATURE, "must be at most 128 of A-Z a-z 0-9 . _ -")])
    return *pairs, (SIGNATURE, signature)


def names_a_context(metadata: Pairs | None) -> bool:
    """Whether a call's metadata has a reference, or a part of one."""
    for name, _ in metadata or ():  # noqa: SIM110 - in the path of every call, and any() costs more
        if name in (KEY, REVISION):
            return True
    return False


def decode(metadata: Pairs | None) -> ContextRef | None:
    """The reference in a call's metadata, or None.

    Raises InvalidFieldError if it is malformed, or if there are two different ones.
    """
    keys: list[str] = []
    revisions: list[str] = []
    signatures: list[str] = []
    for name, value in metadata or ():
        if name == KEY:
            keys.append(str(value))
        elif name == REVISION:
            revisions.append(str(value))
        elif name == SIGNATURE:
            signatures.append(str(value))
    if not keys:
        return None
    return _reference(
        _single_value(keys, KEY),
        _single_value(revisions, REVISION) if revisions else "0",
        _single_value(signatures, SIGNATURE) if signatures else "",
    )


def _single_value(values: list[str], name: str) -> str:
    if len(values) == 1 and "," not in values[0]:
        return values[0].strip()
    # Repeated entries may arrive joined by commas; no text form contains one.
    different = {each.strip() for value in values for each in value.split(",")}
    if len(different) > 1:
        raise InvalidFieldError([(name, "must be there once")])
    return different.pop()


# The same few references arrive again and again. Malformed ones are not cached.
@lru_cache(maxsize=4096)
def _reference(text: str, revision: str, signature: str) -> ContextRef:
    if len(KEY) + len(text) > MAX_BYTES:
        raise InvalidFieldError([(KEY, f"must have at most {MAX_BYTES} bytes")])
    if not (revision.isascii() and revision.isdecimal() and len(revision) <= 19):
        raise InvalidFieldError([(REVISION, "must be a decimal number from 0 to 2^63 - 1")])
    ref = ContextRef(_key(text), int(revision), signature)
    encode(ref)  # refuses a reference that could not be passed on
    return ref


# Revisions change more often than keys.
_key = lru_cache(maxsize=4096)(ContextKey.parse)
