"""Keys, the names of entries: their rules, their text form and their partition."""

from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes
from zlib import crc32

MAX_PART_BYTES = 256


class Key(NamedTuple):
    """The name of an entry: `relevo.v1.ContextKey` as a hashable value."""

    scope: str
    tenant_id: str
    id: str

    def __str__(self) -> str:
        """The text form `scope:tenant_id:id`, each part percent-encoded."""
        return ":".join(quote(part, safe="") for part in self)

    @classmethod
    def parse(cls, text: str) -> "Key":
        """Parse the text form. Raises ValueError, with the reason, if it is malformed."""
        parts = text.split(":")
        if len(parts) != len(cls._fields):
            raise ValueError(
                f"a key has the form scope:tenant_id:id, with ':' within a part written as %3A; "
                f"this one has {len(parts)} parts"
            )
        key = cls(*(_decode(part, field) for part, field in zip(parts, cls._fields, strict=True)))
        for field, problem in key.problems():
            raise ValueError(f"{field}: {problem}")
        return key

    def problems(self) -> list[tuple[str, str]]:
        """Each broken rule: the name of the part, and what is wrong with it."""
        if not any(map(part_problem, self)):
            return []
        found = zip(self._fields, map(part_problem, self), strict=True)
        return [(field, problem) for field, problem in found if problem]


def _decode(part: str, field: str) -> str:
    for escape in part.split("%")[1:]:
        if len(escape) < 2 or not set(escape[:2]) <= set("0123456789abcdefABCDEF"):
            raise ValueError(f"{field}: '%' must begin an escape such as %3A")
    try:
        return unquote_to_bytes(part).decode()
    except UnicodeError:
        raise ValueError(f"{field}: not UTF-8") from None


def part_problem(part: str) -> str | None:
    """The problem of one part of a key, or None."""
    if part.isascii() and part.isprintable() and 0 < len(part) <= MAX_PART_BYTES:
        return None  # nearly all parts are such
    if not part:
        return "must not be empty"
    if len(part) > MAX_PART_BYTES or len(part.encode()) > MAX_PART_BYTES:
        return f"must have at most {MAX_PART_BYTES} bytes"
    if not part.isprintable() and any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 for c in part):
        return "must not contain control characters"
    return None


@lru_cache(4096)
def partition_of(tenant_id: str, partitions: int) -> int:
    """The partition of a tenant: CRC-32 of its UTF-8 form, modulo the number of partitions."""
    return crc32(tenant_id.encode()) % partitions
