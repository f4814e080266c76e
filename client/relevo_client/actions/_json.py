"""The fields of a reference in an action's JSON, by the names that platforms already use."""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any

from relevo_client._context.errors import InvalidFieldError
from relevo_client._context.keys import ContextKey, ContextRef

KEY = "context_cache_key"
"""The key's text form, `scope:tenant:id`."""
REVISION = "context_revision"
"""A decimal string: many JSON parsers have only doubles, and revisions are above 2^53."""
SIGNATURE = "context_signature"
"""The store's signature; left out if there is none."""
RIDER = "context_rider"
"""The rider in base64; left out if there is none."""


def ref_of(key: object, revision: object, signature: object) -> ContextRef | None:
    """The reference in the fields, or None if there is no key.

    Raises InvalidFieldError if a field is malformed.
    """
    if not key:
        return None
    if not isinstance(key, str):
        raise InvalidFieldError([(KEY, "must be a string")])
    try:
        parsed = ContextKey.parse(key)
    except InvalidFieldError as error:
        raise InvalidFieldError((KEY, _without_name(each)) for each in error.violations) from None
    if not isinstance(signature, str | None):
        raise InvalidFieldError([(SIGNATURE, "must be a string")])
    return ContextRef(parsed, _revision(revision), signature or "")


def json_of(ref: ContextRef) -> Mapping[str, Any]:
    """The fields of a reference."""
    fields = {KEY: ref.key.text, REVISION: str(ref.revision)}
    return {**fields, SIGNATURE: ref.signature} if ref.signature else fields


def rider_of(value: object) -> bytes:
    """The rider in its field; b"" for none, and for what is no base64.

    A rider is an offer: a malformed one costs a call of the store, and no action.
    """
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        return b""
    try:
        return b64decode(value, validate=True)
    except ValueError:
        return b""


def text_of(rider: bytes) -> str:
    """The field of a rider."""
    return b64encode(rider).decode("ascii")


def _without_name(violation: tuple[str, str]) -> str:
    field, problem = violation
    return problem if field == "key" else f"its {field} {problem}"


def _revision(value: object) -> int:
    if value is None or value == "":
        return 0
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if isinstance(text, str) and text.isascii() and text.isdecimal() and len(text) <= 19:
        number = int(text)
        if number < 1 << 63:
            return number
    raise InvalidFieldError([(REVISION, "must be a decimal number from 0 to 2^63 - 1")])
