"""Keys, which name entries, and references, which travel with calls."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from urllib.parse import quote, unquote_to_bytes

from relevo.v1 import context_pb2

from relevo_client._context.errors import InvalidFieldError

MAX_PART_BYTES = 256
MAX_REVISION = (1 << 63) - 1
_HEX = frozenset("0123456789abcdefABCDEF")


@dataclass(frozen=True)
class ContextKey:
    """The name of an entry: a scope, a tenant and an id within them.

    Each part is a str of 1 to 256 bytes in UTF-8 without control characters. Raises
    InvalidFieldError for anything else.
    """

    scope: str
    """The kind of context. It decides the default time to live."""
    tenant_id: str
    """The tenant that owns the entry."""
    id: str
    """The name of the entry within its scope and tenant."""

    def __post_init__(self) -> None:
        violations = [
            (field, problem)
            for field in ("scope", "tenant_id", "id")
            if (problem := problem_of(getattr(self, field)))
        ]
        if violations:
            raise InvalidFieldError(violations)

    @cached_property
    def text(self) -> str:
        """The text form `scope:tenant_id:id`; `str` returns it too.

        All characters but A-Z a-z 0-9 - . _ ~ are percent-encoded, so no part can forge another.
        """
        return ":".join(quote(part, safe="") for part in (self.scope, self.tenant_id, self.id))

    def __str__(self) -> str:
        return self.text

    # Every call looks up several keys, and hashing three strings each time takes longer than the
    # rest of a lookup.
    @cached_property
    def _hash(self) -> int:
        return hash((self.scope, self.tenant_id, self.id))

    def __hash__(self) -> int:
        return self._hash

    # Without what was computed: hashes of strings differ from process to process.
    def __reduce__(self) -> tuple[type["ContextKey"], tuple[str, str, str]]:
        return type(self), (self.scope, self.tenant_id, self.id)

    @classmethod
    def parse(cls, text: str) -> "ContextKey":
        """Parse the text form. Raises InvalidFieldError if the text does not have that form."""
        parts = text.split(":")
        if len(parts) != 3:
            raise InvalidFieldError([("key", "must have the form scope:tenant_id:id")])
        return cls(*map(_decode, parts))

    def to_message(self) -> context_pb2.ContextKey:
        """The protobuf message of the key."""
        return context_pb2.ContextKey(scope=self.scope, tenant_id=self.tenant_id, id=self.id)

    @staticmethod
    def from_message(message: context_pb2.ContextKey) -> "ContextKey":
        """The key of a protobuf message. Raises InvalidFieldError if a part is invalid."""
        return _key_of(message.scope, message.tenant_id, message.id)


def valid_keys(messages: Iterable[context_pb2.ContextKey]) -> Iterator[ContextKey]:
    """The keys of these messages, without those that are invalid."""
    for message in messages:
        with suppress(InvalidFieldError):
            yield ContextKey.from_message(message)


# Every pushed event names one of a few keys: they need not be validated each time.
_key_of = lru_cache(maxsize=256)(ContextKey)


@dataclass(frozen=True)
class ContextRef:
    """The reference to a context that travels with a call: a key, and a revision as the fence.

    Raises TypeError if the key is no ContextKey, and InvalidFieldError if the revision is not from
    0 to 2^63 - 1.
    """

    key: ContextKey
    """The key of the entry."""
    revision: int = 0
    """The fence: the receiver works with the tenant's data as of this revision or later. 0 is
    no fence."""
    signature: str = field(default="", compare=False, repr=False)
    """The store's signature, for services that accept signed references only; "" for none. It
    counts for this revision and later ones."""

    def __post_init__(self) -> None:
        must_be_key(self.key)
        if not 0 <= self.revision <= MAX_REVISION:
            raise InvalidFieldError([("revision", "must be from 0 to 2^63 - 1")])

    def __str__(self) -> str:
        return f"{self.key}@{self.revision}"

    @classmethod
    def parse(cls, text: str) -> "ContextRef":
        """Parse the form that `str` returns, `scope:tenant_id:id@revision`.

        Raises InvalidFieldError if the text does not have that form.
        """
        key, at, revision = text.rpartition("@")
        if not (at and revision.isascii() and revision.isdecimal() and len(revision) <= 19):
            raise InvalidFieldError([("ref", "must have the form scope:tenant_id:id@revision")])
        return cls(ContextKey.parse(key), int(revision))

    def to_message(self) -> context_pb2.ContextRef:
        """The protobuf message of the reference."""
        return context_pb2.ContextRef(
            key=self.key.to_message(), revision=self.revision, signature=self.signature
        )

    @staticmethod
    def from_message(message: context_pb2.ContextRef) -> "ContextRef":
        """The reference of a protobuf message. Raises InvalidFieldError if a field is invalid."""
        key = ContextKey.from_message(message.key)
        return ContextRef(key, message.revision, message.signature)


def must_be_key(key: object) -> None:
    """Raise TypeError if `key` is no ContextKey, such as the text of one."""
    if not isinstance(key, ContextKey):
        name = type(key).__name__
        raise TypeError(f"a key must be a ContextKey, and is {name}: ContextKey.parse reads a text")


def problem_of(part: object) -> str | None:
    """The rule that a part of a key breaks, as an error text, or None if it is valid."""
    if not isinstance(part, str):
        return "must be a string"
    if not part:
        return "must not be empty"
    try:
        size = len(part.encode())
    except UnicodeEncodeError:
        return "must be valid Unicode"
    if size > MAX_PART_BYTES:
        return f"must have at most {MAX_PART_BYTES} bytes"
    if any(c < " " or "\x7f" <= c < "\xa0" for c in part):
        return "must not contain control characters"
    return None


def _decode(part: str) -> str:
    if not all(len(escape) >= 2 and _HEX.issuperset(escape[:2]) for escape in part.split("%")[1:]):
        raise InvalidFieldError([("key", "'%' must begin an escape such as %3A")])
    try:
        return unquote_to_bytes(part).decode()
    except UnicodeError:
        raise InvalidFieldError([("key", "must be UTF-8")]) from None
