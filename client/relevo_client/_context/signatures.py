"""Signed references: the proof that a store has named a context to somebody.

A signature is `NAME.EXPIRY.REVISION.MAC`: the name of the key that signed, the Unix time at which
it expires, the revision that the store answered, and HMAC-SHA256 in base64url without padding,
over `relevo.ref.1`, the text form of the context's key, the revision and the expiry, joined by
line ends. A reference may have a later revision than its signature: services raise the fence that
they pass on, and never lower it.
"""

import hmac
import re
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import TypeAlias

from relevo_client._context.keys import ContextRef

Keys: TypeAlias = Mapping[str, bytes]
"""The secrets that sign references, by their names."""
Verifiers: TypeAlias = Mapping[str, hmac.HMAC]
"""Prepared keys by their names: to prepare a key takes longer than to use it."""

LEFT = 30
"""Seconds that a signature must have left when a call takes it along."""
_NEVER = 1 << 62
_NAME = re.compile(r"[A-Za-z0-9_-]{1,16}")
_MIN_BYTES = 16


def prepared(keys: Keys) -> Verifiers:
    """The keys in the form in which `is_genuine` uses them."""
    return {
        name: hmac.new(secret, b"relevo.ref.1\n", digestmod="sha256")
        for name, secret in keys.items()
    }


def is_genuine(ref: ContextRef, verifiers: Verifiers, now: float) -> bool:
    """Whether one of the keys has signed a reference, and the signature has not expired.

    `now` is the Unix time in seconds.
    """
    parts = ref.signature.split(".")
    if len(parts) != 4:
        return False
    name, expiry, revision, mac = parts
    verifier = verifiers.get(name)
    if verifier is None:
        return False
    code = verifier.copy()
    code.update(f"{ref.key.text}\n{revision}\n{expiry}".encode())
    if not hmac.compare_digest(urlsafe_b64encode(code.digest())[:-1], mac.encode()):
        return False
    # The store wrote both numbers.
    return int(revision) <= ref.revision and now < int(expiry)


def expiry_of(signature: str) -> int:
    """The Unix time at which a signature expires; far away if its form is unknown."""
    parts = signature.split(".")
    return int(parts[1]) if len(parts) == 4 and parts[1].isdecimal() else _NEVER


def later(one: str, other: str) -> str:
    """The one of two signatures that expires later; either may be ""."""
    if one == other or not (one and other):
        return one or other
    return one if expiry_of(one) >= expiry_of(other) else other


def keys_of(text: str) -> Keys:
    """The keys in the text of a file: a line for each, with its name and its secret in base64.

    Lines that are empty or begin with `#` count for nothing. Raises ValueError, which quotes no
    secret.
    """
    keys: dict[str, bytes] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) != 2 or not _NAME.fullmatch(words[0]):
            raise ValueError(f"line {number}: must be a name (A-Z a-z 0-9 _ -) and a secret")
        name, secret = words
        if name in keys:
            raise ValueError(f"line {number}: {name} is there twice")
        try:
            keys[name] = b64decode(secret, validate=True)
        except ValueError:
            raise ValueError(f"line {number}: the secret of {name} is not base64") from None
        if len(keys[name]) < _MIN_BYTES:
            raise ValueError(f"line {number}: the secret of {name} is below {_MIN_BYTES} bytes")
    if not keys:
        raise ValueError("has no key")
    return keys
