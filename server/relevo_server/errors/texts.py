"""Texts that fit into a status."""

from urllib.parse import quote

# A status is a part of the last header block of a call, of which gRPC's libraries take no more
# than 8 KiB. The message is in it twice: as text, and in base64 within the details.
MAX_MESSAGE = 1024
_MAX_VALUE = 2306  # the longest text form of a key
MAX_FIELD = 512
MAX_DESCRIPTION = 384
_SAFE = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")


def shortened(text: str, limit: int) -> str:
    """The text, or its beginning and "..." if it takes more than `limit` bytes in a header."""
    beginning = text[: limit + 1]  # each character takes a byte at least
    if encoded_size(beginning) <= limit:
        return beginning
    size = len("...")
    for i, character in enumerate(beginning):
        size += encoded_size(character)
        if size > limit:
            return f"{beginning[:i]}..."
    return beginning


def cut(value: str) -> str:
    """A value of ErrorInfo's metadata, or its beginning and "..." if it is too long.

    Unlike the message it is not percent-encoded: its UTF-8 bytes count. It may come from a field
    that was not checked yet.
    """
    serialized = value[: _MAX_VALUE + 1].encode()
    if len(serialized) <= _MAX_VALUE:
        return value
    return serialized[:_MAX_VALUE].decode(errors="ignore") + "..."


def encoded_size(text: str) -> int:
    """The bytes that a text takes as gRPC's status message, which is percent-encoded."""
    if text.isascii() and text.isprintable():
        return len(text) + 2 * text.count("%")
    return len(quote(text, safe=_SAFE))
