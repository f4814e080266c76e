"""The names of snapshots: digests of what they were composed from, and of their content.

The rules are those of the contract, by which clients name and verify snapshots.
"""

import re
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import rfc8785
from relevo.v1.context_pb2 import ExecutionContext

from relevo_server.keys import Key
from relevo_server.wire.composition import SECTIONS
from relevo_server.wire.contexts import key_of
from relevo_server.wire.documents import plain

SCOPE = "snapshot"
_DIGEST = re.compile(r"sha256-[0-9a-f]{64}")
# By name, as in the contract: a field of a later one is no part of the digest.
_IDENTITY = (
    *("context_id", "tenant_id", "agent_id", "tenant_tier"),
    *("conversation_id", "session_id", "user_id"),
)


def is_digest(key: Key) -> bool:
    """Whether a key is that of a snapshot which is named by its digest."""
    return key.scope == SCOPE and _DIGEST.fullmatch(key.id) is not None


def key_of_snapshot(tenant_id: str, context: ExecutionContext) -> Key:
    """The key of the snapshot with this composed context, whose `composed_from` must be set.

    Raises ValueError for NaN and infinities, which no Put writes.
    """
    content: dict[str, Any] = {
        "composed_from": [
            [str(key_of(source.key)), str(source.revision)] for source in context.composed_from
        ],
        "context": dict(_content(context)),
    }
    digest = sha256(rfc8785.dumps(content)).hexdigest()
    return Key(SCOPE, tenant_id, f"sha256-{digest}")


def _content(context: ExecutionContext) -> Iterator[tuple[str, Any]]:
    for name in _IDENTITY:
        if text := getattr(context, name):
            yield name, text
    for name in SECTIONS:
        if section := plain(getattr(context, name)):
            yield name, section
