"""The key ring: the named keys that wrap the data keys of tenants. No I/O.

A ring is a TOML document. All of its keys unwrap; the primary one wraps:

    primary = "2026-11"

    [keys]
    2026-05 = "<32 bytes in base64>"
    2026-11 = "<32 bytes in base64>"

What a ring wraps has this form: a byte 1, the length of the key's name in a byte, the name, a nonce
of 12 bytes, and AES-256-GCM's ciphertext with its tag. All that stands before the ciphertext, and
what it is bound to, are authenticated.
"""

import binascii
import re
import secrets
import tomllib
from base64 import b64decode
from collections.abc import Mapping
from typing import Any, cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from relevo_server.storage.unusable import LayoutError

KEY_BYTES = 32
NONCE_BYTES = 12
_FORMAT = 1
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class KeyRingError(LayoutError):
    """Raised if a key ring cannot be used, or is not that of the store. Quotes no key."""


class UnknownKeyError(Exception):
    """Raised if a ring does not have the key that wrapped something."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class KeyRing:
    """Keys by name, of 32 bytes each, one of which is the primary key."""

    def __init__(self, keys: Mapping[str, bytes], primary: str) -> None:
        self._ciphers = {name: AESGCM(key) for name, key in keys.items()}
        self.primary = primary

    @classmethod
    def parse(cls, text: str) -> "KeyRing":
        """Parse the TOML document. Raises KeyRingError, which names what is wrong."""
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError:
            raise KeyRingError("key ring: is not TOML") from None  # its text quotes the line
        unknown = sorted(set(document) - {"primary", "keys"})
        if unknown:
            raise KeyRingError("key ring: may have nothing but `primary` and the table `keys`")
        found = document.get("keys")
        if not isinstance(found, dict) or not found:
            raise KeyRingError("key ring: keys: must be a table with at least one key")
        keys = {name: _key(name, each) for name, each in cast("dict[str, Any]", found).items()}
        if len(set(keys.values())) < len(keys):
            raise KeyRingError("key ring: keys: two names have the same key")
        primary = document.get("primary")
        if primary not in keys:
            raise KeyRingError("key ring: primary: must be the name of one of the keys")
        return cls(keys, primary)

    def wrap(self, plain: bytes, bound_to: bytes) -> bytes:
        """Encrypt by the primary key. Only `unwrap` with the same `bound_to` decrypts it."""
        name = self.primary.encode()
        head = bytes((_FORMAT, len(name))) + name
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = self._ciphers[self.primary].encrypt(nonce, plain, head + bound_to)
        return head + nonce + sealed

    def unwrap(self, wrapped: bytes, bound_to: bytes) -> bytes:
        """Decrypt by the key that wrapped it.

        Raises UnknownKeyError if the ring does not have that key, and InvalidTag if its key is
        another one, or what is wrapped was changed or moved.
        """
        name = name_in(wrapped)
        cipher = self._ciphers.get(name)
        if cipher is None:
            raise UnknownKeyError(name)
        begin = 2 + len(name.encode())
        head, rest = wrapped[:begin], wrapped[begin:]
        return cipher.decrypt(rest[:NONCE_BYTES], rest[NONCE_BYTES:], head + bound_to)


def name_in(wrapped: bytes) -> str:
    """The name of the key that wrapped something. Raises InvalidTag if nothing did."""
    least = 2 + NONCE_BYTES + 16
    if len(wrapped) < least or wrapped[0] != _FORMAT or len(wrapped) < least + wrapped[1]:
        raise InvalidTag
    return wrapped[2 : 2 + wrapped[1]].decode("ascii", "replace")


def _key(name: str, value: object) -> bytes:
    if not _NAME.fullmatch(name):
        raise KeyRingError("key ring: keys: a name has 1 to 64 of A-Z a-z 0-9 _ . -")
    try:
        key = b64decode(value if isinstance(value, str) else "", validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise KeyRingError(f"key ring: keys.{name}: must be {KEY_BYTES} bytes in base64")
    return key
