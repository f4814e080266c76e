"""Data keys, and values that they encrypt. No I/O.

An encrypted value has this form: the bytes 0 and 1, the data key's id (8 bytes), a salt (16), a
nonce (12), and AES-256-GCM's ciphertext with its tag (16). No serialized context begins with the
byte 0, so the two cannot be confused. The authenticated data are the entry's key and all that
stands before the nonce: a value that is moved to another entry does not decrypt.

Each value has a key of its own, which HKDF derives from the data key and the salt. So no number of
values under one data key comes near the limit of random nonces (2^32 under one key of AES-GCM).
"""

import hmac
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from relevo_server.keys import Key
from relevo_server.storage.encrypted.ring import KEY_BYTES, NONCE_BYTES, KeyRing
from relevo_server.storage.key_records import ID_BYTES

_FORMAT = b"\x00\x01"
_SALT_BYTES = 16
_NONCE = len(_FORMAT) + ID_BYTES + _SALT_BYTES
_CIPHERTEXT = _NONCE + NONCE_BYTES
OVERHEAD = _CIPHERTEXT + 16
"""The bytes that an encrypted value has in addition to the value."""


class DataKey:
    """The key of a tenant's values."""

    def __init__(self, id: bytes, secret: bytes) -> None:  # noqa: A002 - what it is
        self.id = id
        self._secret = secret
        self._fingerprints = self._derive(b"relevo fingerprint")

    def encrypt(self, key: Key, context: bytes) -> bytes:
        """The encrypted value of an entry."""
        salt = secrets.token_bytes(_SALT_BYTES)
        nonce = secrets.token_bytes(NONCE_BYTES)
        head = _FORMAT + self.id + salt
        return head + nonce + self._cipher(salt).encrypt(nonce, context, _bound(head, key))

    def decrypt(self, key: Key, value: bytes) -> bytes:
        """The context in an encrypted value. Raises InvalidTag if it is not this entry's."""
        if len(value) < OVERHEAD:
            raise InvalidTag
        head, nonce = value[:_NONCE], value[_NONCE:_CIPHERTEXT]
        cipher = self._cipher(head[-_SALT_BYTES:])
        return cipher.decrypt(nonce, value[_CIPHERTEXT:], _bound(head, key))

    def keyed(self, fingerprint: bytes) -> bytes:
        """A fingerprint by which nobody without the data key can try values out."""
        return hmac.digest(self._fingerprints, fingerprint, "sha256")

    def _cipher(self, salt: bytes) -> AESGCM:
        return AESGCM(self._derive(b"relevo value" + salt))

    def _derive(self, info: bytes) -> bytes:
        """HKDF-Expand (RFC 5869, section 2.3) to one block, which is one HMAC.

        `cryptography`'s own takes four times as long, which is half of a decryption.
        """
        return hmac.digest(self._secret, info + b"\x01", "sha256")


def is_encrypted(value: bytes) -> bool:
    """Whether a value is encrypted, and no serialized context."""
    return value.startswith(b"\x00")


def key_id_of(value: bytes) -> bytes:
    """The id of the data key that encrypted a value, b"" if its form is unknown."""
    return value[len(_FORMAT) :][:ID_BYTES] if value.startswith(_FORMAT) else b""


def new_data_key(ring: KeyRing, tenant_id: str) -> bytes:
    """A new data key of a tenant, wrapped."""
    key_id = secrets.token_bytes(ID_BYTES)
    return key_id + ring.wrap(secrets.token_bytes(KEY_BYTES), _of_tenant(key_id, tenant_id))


def unwrapped(ring: KeyRing, tenant_id: str, wrapped: bytes) -> DataKey:
    """The data key of a tenant. Raises UnknownKeyError, and InvalidTag."""
    key_id = wrapped[:ID_BYTES]
    secret = ring.unwrap(wrapped[ID_BYTES:], _of_tenant(key_id, tenant_id))
    return DataKey(key_id, secret)


def rewrapped(ring: KeyRing, tenant_id: str, wrapped: bytes) -> bytes:
    """The same data key, wrapped by the primary key. Raises UnknownKeyError, and InvalidTag."""
    key_id = wrapped[:ID_BYTES]
    bound_to = _of_tenant(key_id, tenant_id)
    return key_id + ring.wrap(ring.unwrap(wrapped[ID_BYTES:], bound_to), bound_to)


def _bound(head: bytes, key: Key) -> bytes:
    return head + "\0".join(key).encode()  # no part of a key has control characters


def _of_tenant(key_id: bytes, tenant_id: str) -> bytes:
    return b"relevo data key" + key_id + tenant_id.encode()
