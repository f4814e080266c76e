"""What Redis holds, as values and back."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from relevo_server import errors, revisions
from relevo_server.keys import Key
from relevo_server.storage.interface import CORRUPT, Event, Stored, Written
from relevo_server.storage.recent import Held
from relevo_server.storage.redis.connection import Argument


def request(tag: str, key: Key, request_id: str) -> str:
    """The name of the record of a Put that has a request_id."""
    return f"{tag}:request:{key}:{quote(request_id, safe='')}"


def floor(tenant_id: str, scope: str) -> str:
    """The field of a floor: of a tenant's scope, or of all its scopes if that is empty."""
    name = f"floor:{quote(tenant_id, safe='')}"
    return f"{name}:{quote(scope, safe='')}" if scope else name


@lru_cache(4096)
def text(key: Key) -> str:
    """The text form of a key, which is a part of its records' names."""
    return str(key)


@lru_cache(4096)
def floors(key: Key) -> tuple[str, str]:
    """The fields of the floors that an entry has to be above: the tenant's, and its scope's."""
    return floor(key.tenant_id, ""), floor(key.tenant_id, key.scope)


def stored(asked: str, answered: bytes, *values: Any) -> Stored | None:
    """An entry as a script answered it, None if there is none. UNAVAILABLE if it is another's."""
    if asked.encode() != answered:
        # A reply that belongs to another command: never hand it out.
        raise errors.unavailable("the store answered out of order")
    if not values:
        return None
    if values[0] == b"corrupt":
        return CORRUPT
    version, created, ttl_ms, size, _, *rest = values
    context = rest[0] if rest else None
    return Stored(
        revisions.from_log_id(version),
        revisions.from_log_id(created),
        max(0, ttl_ms),
        context,
        size if context is None else 0,
    )


def known(version: int, at_hand: Held) -> Argument:
    """What Redis need not send: a version that the caller has, else the write that is at hand."""
    if version >= at_hand.version:
        return revisions.to_log_id(version) if version else ""
    return revisions.to_log_id(at_hand.version).encode() + b"/" + at_hand.mark


def mark(answered: Sequence[Any]) -> bytes:
    """What tells the write of an entry from every other; b"" if a server of 0.x wrote it."""
    return answered[5] if len(answered) > 5 else b""


def written(key: Key, answer: Sequence[bytes]) -> Written:
    """What a Put came to. INVALID_ARGUMENT if its request_id was another Put's."""
    if answer[0] == b"reused":
        raise errors.request_id_reused(key)
    _, version, created, ttl_ms = answer
    return Written(revisions.from_log_id(version), revisions.from_log_id(created), int(ttl_ms))


def event(log_id: bytes, fields: Sequence[bytes]) -> Event:
    """What a log entry says; `foreign` if no server of Relevo can have written it."""
    revision = revisions.from_log_id(log_id)
    try:
        words = [field.decode() for field in fields]
        told = dict(zip(words[::2], words[1::2], strict=True))
        match told["op"]:
            case "put" | "invalidate" | "release" as kind:
                return Event(revision, kind, Key.parse(told["key"]))
            case "floor":
                return Event(revision, "floor", tenant_id=told["tenant"], scope=told["scope"])
            case _:
                pass
    except (KeyError, ValueError):  # of which UnicodeDecodeError is one
        pass
    return Event(revision, "foreign")
