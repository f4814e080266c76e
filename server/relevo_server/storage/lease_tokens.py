"""Tokens of leases, in the forms that a database may hold: none of them can be used.

A lease's record holds the digest of its token. A repeated Lease gets the same token again, so the
record also holds the token masked: what unmasks it is the request_id, which the record holds as a
digest too. So the token is as secret as the request_id, which a caller draws at random.

Servers of version 0.1 recorded tokens as they are, and know no others. A dot, which those tokens
do not have, marks one that is recorded in these forms.
"""

import secrets
from hashlib import sha256, shake_256

_SALT = 16


def new_token() -> str:
    """A token that nobody can guess."""
    return f"2.{secrets.token_urlsafe(16)}"


def digest(text: str) -> str:
    """The digest of a token or a request_id, "" for "". Hexadecimal."""
    return sha256(text.encode()).hexdigest() if text else ""


def proof(token: str) -> str:
    """The form in which a token is compared with the record: see `find_lease` in prelude.lua.

    "" for no token. The token itself is sent only if a server of version 0.1 granted the lease.
    """
    if not token:
        return ""
    return f"digest:{digest(token)}" if "." in token else f"token:{token}"


def masked(token: str, request_id: str) -> bytes:
    """The token, readable only with the request_id; b"" without one: no Lease repeats it."""
    if not request_id:
        return b""
    salt = secrets.token_bytes(_SALT)
    return salt + _xor(token.encode(), request_id, salt)


def unmasked(recorded: bytes, request_id: str) -> str:
    """The token in what `masked` returned for the same request_id."""
    return _xor(recorded[_SALT:], request_id, recorded[:_SALT]).decode()


def _xor(text: bytes, request_id: str, salt: bytes) -> bytes:
    pad = shake_256(salt + request_id.encode()).digest(len(text))
    return bytes(a ^ b for a, b in zip(text, pad, strict=True))
