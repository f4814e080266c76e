"""Pages of lists: the tokens that say where the next page begins.

A token holds the list's own cursor, and a checksum of the cursor and of the list's arguments. So a
token that is damaged, or that another list returned, is refused. It is opaque to clients. It is not
signed, and gives no rights.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from hashlib import sha256

from relevo_server import errors

_CHECKSUM = 8
_MAX_TOKEN = 4096
"""Characters. No cursor is longer than the text form of the longest key, which has 2,306."""


def token_of(listed: Sequence[str], cursor: str) -> str:
    """The token for a cursor, "" for the end of the list. `listed` are the list's arguments."""
    if not cursor:
        return ""
    return urlsafe_b64encode(_checksum(listed, cursor) + cursor.encode()).decode()


def cursor_of(listed: Sequence[str], token: str) -> str:
    """The cursor in a token, "" for the beginning of the list. Raises INVALID_ARGUMENT."""
    if not token:
        return ""
    try:
        cursor = urlsafe_b64decode(token[:_MAX_TOKEN])[_CHECKSUM:].decode()
    except ValueError:  # binascii's and Unicode's
        raise errors.page_token_unknown() from None
    if token != token_of(listed, cursor):
        raise errors.page_token_unknown()
    return cursor


def _checksum(listed: Sequence[str], cursor: str) -> bytes:
    return sha256("\0".join((*listed, cursor)).encode()).digest()[:_CHECKSUM]
