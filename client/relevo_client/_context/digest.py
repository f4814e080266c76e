"""The names of snapshots: digests by which whoever receives one can verify it.

A snapshot's id is `sha256-` and the SHA-256, in hexadecimal digits, of the canonical JSON
(RFC 8785) of an object with two members:

- `composed_from`: the context's `composed_from`, each as `[key's text form, version in decimal]`.
  It begins with the entry that the snapshot is of.
- `context`: the identity fields and sections that are not empty, by their names.

So two entries, or two states of one, never share a name. Times are the store's own and do not
count; nor do fields of a newer contract, which the versions in `composed_from` stand for.
"""

import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, cast

import rfc8785

from relevo_client._context.errors import RelevoError
from relevo_client._context.keys import ContextKey
from relevo_client._context.model import IDENTITY, SECTIONS, ExecutionContext
from relevo_client._context.reasons import Reason
from relevo_client._context.values import EXACT

SCOPE = "snapshot"
_DIGEST = re.compile(r"sha256-[0-9a-f]{64}")


def key_of(tenant_id: str, context: ExecutionContext) -> ContextKey:
    """The key of a snapshot with this context, whose `composed_from` is set.

    Raises RelevoError with the reason CORRUPT_ENTRY for NaN and infinities, which only a
    store that is out of order hands out.
    """
    content: dict[str, Any] = {
        "composed_from": [[ref.key.text, str(ref.revision)] for ref in context.composed_from],
        "context": {
            name: _exact(value)
            for name in (*IDENTITY, *SECTIONS)
            if (value := getattr(context, name))
        },
    }
    try:
        canonical = rfc8785.dumps(content)
    except rfc8785.CanonicalizationError:
        text = "a context holds a number that JSON does not have"
        raise RelevoError(text, reason=Reason.CORRUPT_ENTRY) from None
    return ContextKey(SCOPE, tenant_id, f"sha256-{sha256(canonical).hexdigest()}")


def is_digest(key: ContextKey) -> bool:
    """Whether a key is a snapshot's, by which its context can be verified."""
    return key.scope == SCOPE and _DIGEST.fullmatch(key.id) is not None


def verify(key: ContextKey, context: ExecutionContext) -> None:
    """Check a received context against its key, if that is a digest.

    Raises RelevoError with the reason CORRUPT_ENTRY if it is not the snapshot of that name.
    """
    if is_digest(key) and (context.includes or key_of(key.tenant_id, context) != key):
        raise RelevoError(
            f"what the store holds under {key} is not the snapshot of that name",
            reason=Reason.CORRUPT_ENTRY,
            metadata={"key": key.text},
        )


def _exact(value: Any) -> Any:
    """The value with numbers that the canonical form takes: integers below 2^53, else doubles."""
    match value:
        case bool():
            return value
        case int() if abs(value) == EXACT:
            return float(value)
        case Mapping():
            return {key: _exact(item) for key, item in cast("Mapping[str, Any]", value).items()}
        case list():
            return [_exact(item) for item in cast("Sequence[Any]", value)]
        case _:
            return value
