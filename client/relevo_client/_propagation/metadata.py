"""Writes references to call metadata, and reads them."""

import re
from collections.abc import Iterable
from functools import lru_cache

from relevo_client._context.errors import InvalidFieldError
from relevo_client._context.keys import MAX_REVISION, ContextKey, ContextRef

KEY = "context-key"
REVISION = "context-revision"
SIGNATURE = "context-signature"
RIDER = "context-entry-bin"
"""The snapshot that the reference names: bytes in metadata, base64 in HTTP headers."""
MAX_BYTES = 512
"""The limit of the names and values of key and revision together."""
MAX_SIGNATURE_BYTES = 128
"""The limit of a signature."""
MAX_TEXT_BYTES = MAX_BYTES - len(KEY) - len(REVISION) - 19
"""The longest text form of a key that fits with any revision."""

_ROOM = 8192
"""Bytes of metadata that every gRPC implementation accepts; beyond, some refuse at random."""
_OTHERS = 1536
"""Bytes that are left for a call's reference, and for what gRPC and others add to it later."""
_OVERHEAD = 32
"""Bytes that count for each entry, besides its name and value."""

_SIGNATURE = re.compile(r"[A-Za-z0-9._-]*")

Pairs = Iterable[tuple[str, str | bytes]]


def encode(ref: ContextRef) -> tuple[tuple[str, str], ...]:
    """The metadata entries of a reference: two, or three if it is signed.

    Raises InvalidFieldError if key and revision take more than 512 bytes, or for a malformed
    signature.
    """
    return entries_of(ref.key, ref.revision, ref.signature)


# By the parts: references that differ in their signatures alone are equal.
@lru_cache(maxsize=4096)
def entries_of(key: ContextKey, revision: int, signature: str) -> tuple[tuple[str, str], ...]:
    """The same by the parts of the reference."""
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
    # In the path of every call: the same few references arrive again and again, in entries that
    # are there once.
    key = revision = signature = None
    for name, value in metadata or ():
        if name == KEY:
            key = value if key is None else _joined(key, value)
        elif name == REVISION:
            revision = value if revision is None else _joined(revision, value)
        elif name == SIGNATURE:
            signature = value if signature is None else _joined(signature, value)
    if key is None:
        return None
    return _known.get((key, revision, signature)) or _decoded(key, revision, signature)


def has_room(metadata: Pairs | None, rider: bytes) -> bool:
    """Whether a call with this metadata of its own has room for a rider."""
    if not metadata:
        return True  # for a rider of any length
    own = sum(_OVERHEAD + len(name) + _size(name, value) for name, value in metadata)
    return own + _size(RIDER, rider) + _OTHERS <= _ROOM


def _size(name: str, value: str | bytes) -> int:
    """The bytes of a value on the wire: binary ones are sent in base64."""
    return len(value) * 4 // 3 + 4 if name.endswith("-bin") else len(value)


def rider_in(metadata: Pairs | None) -> bytes | None:
    """The rider in a call's metadata; None if there is none, or if there are different ones."""
    rider = None
    for name, value in metadata or ():
        if name == RIDER:
            if rider not in (None, value):
                return None
            rider = value
    return rider if isinstance(rider, bytes) else None


_known: dict[tuple[str | bytes | None, ...], ContextRef] = {}
"""References by the values of their entries: key, revision, signature."""
_MAX_KNOWN = 4096


def _joined(earlier: str | bytes, value: str | bytes) -> str:
    """The values of a repeated entry, joined as proxies do it."""
    return f"{earlier!s},{value!s}"


def _decoded(
    key: str | bytes, revision: str | bytes | None, signature: str | bytes | None
) -> ContextRef:
    text = _single_value(str(key), KEY)
    number = "0" if revision is None else _single_value(str(revision), REVISION)
    signed = "" if signature is None else _single_value(str(signature), SIGNATURE)
    if len(KEY) + len(text) > MAX_BYTES:
        raise InvalidFieldError([(KEY, f"must have at most {MAX_BYTES} bytes")])
    ref = ContextRef(_key(text), _revision(number), signed)
    encode(ref)  # refuses a reference that could not be passed on
    # What was repeated may be long.
    if (key, revision or number, signature or signed) == (text, number, signed):
        if len(_known) >= _MAX_KNOWN:
            _known.clear()
        _known[key, revision, signature] = ref
    return ref


def _single_value(text: str, name: str) -> str:
    """The value of an entry, which may be there several times if all values are the same."""
    # No text form contains a comma.
    different = {each.strip() for each in text.split(",")}
    if len(different) > 1:
        raise InvalidFieldError([(name, "must be there once")])
    return different.pop()


def revision_in(metadata: Pairs) -> int | None:
    """The revision in the metadata of an answer, or None.

    Raises InvalidFieldError if it is malformed, or if there are two different ones.
    """
    found: str | bytes | None = None
    for name, value in metadata:
        if name == REVISION:
            found = value if found is None else _joined(found, value)
    return None if found is None else _revision(_single_value(str(found), REVISION))


def _revision(text: str) -> int:
    if text.isascii() and text.isdecimal() and len(text) <= 19:
        revision = int(text)
        if revision <= MAX_REVISION:
            return revision
    raise InvalidFieldError([(REVISION, "must be a decimal number from 0 to 2^63 - 1")])


# Revisions change more often than keys.
_key = lru_cache(maxsize=4096)(ContextKey.parse)
