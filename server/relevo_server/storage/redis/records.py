"""Converts between values and the records that Redis holds."""

import json
import math
import secrets
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import quote, unquote

from relevo_server import errors, revisions
from relevo_server.keys import Key
from relevo_server.quotas import Limits
from relevo_server.storage import lease_tokens
from relevo_server.storage.events import WHOLE, Event
from relevo_server.storage.interface import (
    CORRUPT,
    LeaseAttempt,
    Leased,
    Stored,
    Write,
    Written,
)
from relevo_server.storage.redis.connection import Argument
from relevo_server.storage.redis.recent import CachedContext

RING_CHECK = "ring"
"""The field of the layout's record by which servers check their key rings."""


def hash_tag(prefix: str, partition: int | Literal["*"]) -> str:
    """The prefix of the names of a partition's records: a hash tag of Redis Cluster.

    `*` gives the glob pattern of all partitions.
    """
    return f"{{{prefix}:{partition}}}"


def data_keys(tag: str) -> str:
    """The name of the record of a partition's data keys, with a field for each tenant."""
    return f"{tag}:keys"


def request(tag: str, owner: Key | str, request_id: str) -> str:
    """The name of the record of a Put of a key, or of an Invalidate of a tenant, by request_id."""
    name = text(owner) if isinstance(owner, Key) else quote(owner, safe="")
    return f"{tag}:request:{name}:{quote(request_id, safe='')}"


def usage(tag: str) -> str:
    """The name of the record of what tenants have in a partition."""
    return f"{tag}:usage"


def arguments(write: Write, log_length: int, limits: Limits | None) -> list[Argument]:
    """The arguments of write.lua, but for those of a request_id.

    `limits` are those of the tenant's entries and bytes, None if they have none.
    """
    expected = "" if write.expected is None else revisions.to_log_id(write.expected)
    quota: Sequence[Argument] = ("", "", "")
    if limits:
        most = ("" if each == math.inf else int(each) for each in (limits.entries, limits.bytes))
        quota = (1, *most)
    return [
        *floors(write.key),
        text(write.key),
        log_length,
        expected,
        lease_tokens.proof(write.lease),
        write.ttl_ms,
        write.context,
        secrets.token_bytes(8),
        write.principal,
        fields_text(write.fields),
        write.key.tenant_id,
        write.key_id,
        *quota,
    ]


def unused(tag: str) -> str:
    """The name of a record that a partition never has."""
    return f"{tag}:none"


@lru_cache(4096)
def floor(tenant_id: str, scope: str) -> str:
    """The field of the floor of a tenant's scope, or of all its scopes if `scope` is empty."""
    name = f"floor:{quote(tenant_id, safe='')}"
    return f"{name}:{quote(scope, safe='')}" if scope else name


@lru_cache(4096)
def text(key: Key) -> str:
    """The text form of a key, as its records' names contain it."""
    return str(key)


@lru_cache(4096)
def floors(key: Key) -> tuple[str, str]:
    """The fields of the two floors that a live entry is above: its tenant's and its scope's."""
    return floor(key.tenant_id, ""), floor(key.tenant_id, key.scope)


def is_cursor(cursor: str) -> bool:
    """Whether SCAN takes a cursor, which is a 64-bit number; "" stands for the beginning."""
    is_number = cursor.isascii() and cursor.isdecimal()
    return not cursor or (is_number and len(cursor) <= 20 and int(cursor) < 1 << 64)


def pattern(tag: str, tenant_id: str, scope: str) -> str:
    """The glob pattern of the names of a tenant's entries, or of those of one of its scopes.

    A tenant and a scope have none of its special characters: percent-encoded, they consist of
    letters, digits and `-._~%`. So does the prefix in `tag`, by the rule of the setting.
    """
    escaped = quote(tenant_id, safe="")
    return f"{tag}:entry:{quote(scope, safe='') if scope else '*'}:{escaped}:*"


def entry_named(name: bytes) -> tuple[int, str, str] | None:
    """The partition, tenant and scope of an entry, by its record's name; None for a foreign one."""
    try:
        _, number, _, scope, tenant, _ = name.decode().split(":")
        return int(number.removesuffix("}")), unquote(tenant), unquote(scope)
    except ValueError:  # includes UnicodeDecodeError
        return None


def keys_named(tag: str, tenant_id: str, name: bytes) -> list[Key]:
    """The key of a tenant's entry by its record's name; none if no Relevo server chose the name."""
    try:
        key = Key.parse(name.decode().removeprefix(f"{tag}:entry:"))
    except ValueError:  # includes UnicodeDecodeError
        return []
    return [key] if key.tenant_id == tenant_id and f"{tag}:entry:{key}".encode() == name else []


def stored(asked: str, answered: bytes, *values: Any) -> Stored | None:
    """The entry that a script answered, None if it is absent.

    Raises UNAVAILABLE if the answer names another key than `asked`.
    """
    if asked.encode() != answered:
        # The reply belongs to another command: never return it.
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


def leased(name: str, attempt: LeaseAttempt, answer: Sequence[Any]) -> Leased:
    """The result of an attempt to lease the entry whose record has this name."""
    log_id, kind, *rest = answer
    revision = revisions.from_log_id(log_id)
    match kind:
        case b"entry":
            return Leased(revision, stored(name, *rest[0]))
        case b"held":
            return Leased(revision, None, ttl_ms=max(0, int(rest[0])))
        case _:
            masked, left = rest
            token = attempt.token
            if masked:  # an earlier attempt with the same request_id got the lease
                token = lease_tokens.unmasked(masked, attempt.request_id)
            return Leased(revision, None, token, max(0, int(left)))


def unneeded(version: int, cached: CachedContext) -> Argument:
    """The write whose context Redis need not send, in the form that read.lua takes.

    It is the reader's `version`, or the cached write if that is newer; "" for none.
    """
    if version >= cached.version:
        return revisions.to_log_id(version) if version else ""
    return revisions.to_log_id(cached.version).encode() + b"/" + cached.mark


def mark(answered: Sequence[Any]) -> bytes:
    """The unique mark of an entry's last write; b"" if a server of version 0.x wrote it."""
    return answered[5] if len(answered) > 5 else b""


def written(key: Key, answer: Sequence[bytes]) -> Written:
    """The result of a Put. Raises INVALID_ARGUMENT if another Put had its request_id."""
    if answer[0] == b"reused":
        raise errors.request_id_reused(key)
    version, created, ttl_ms = answer
    return Written(revisions.from_log_id(version), revisions.from_log_id(created), int(ttl_ms))


def fields_text(fields: Sequence[str]) -> str:
    """The fields that a Put wrote, as its event records them: `*`, JSON, or "" if unknown."""
    if not fields or fields == WHOLE:
        return "*" if fields else ""
    return json.dumps(fields, separators=(",", ":"))


def fields_of(text: str) -> tuple[str, ...]:
    """The fields that a Put wrote, from its event; none if no Relevo server wrote the text."""
    if not text.startswith("["):
        return WHOLE if text == "*" else ()
    try:
        parts = json.loads(text)
    except ValueError:
        return ()
    return tuple(part for part in parts if isinstance(part, str))


def event(log_id: bytes, fields: Sequence[bytes]) -> Event:
    """The event of a log entry; `foreign` if no Relevo server can have written it."""
    revision = revisions.from_log_id(log_id)
    try:
        words = [field.decode() for field in fields]
        named = dict(zip(words[::2], words[1::2], strict=True))
        match named["op"]:
            case "put" | "invalidate" | "release" as kind:
                principal, parts = named.get("by", ""), fields_of(named.get("fields", ""))
                key = Key.parse(named["key"])
                return Event(revision, kind, key, principal=principal, fields=parts)
            case "floor":
                principal, tenant_id, scope = named.get("by", ""), named["tenant"], named["scope"]
                return Event(
                    revision, "floor", tenant_id=tenant_id, scope=scope, principal=principal
                )
            case _:
                pass
    except (KeyError, ValueError):  # includes UnicodeDecodeError
        pass
    return Event(revision, "foreign")
