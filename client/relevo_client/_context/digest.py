"""The names of snapshots: digests, by which a receiver verifies the content.

A snapshot's id is `sha256-` and the SHA-256, in hexadecimal digits, of the canonical JSON
(RFC 8785) of an object with two members:

- `composed_from`: the context's `composed_from`, each as `[key's text form, version in decimal]`.
  The first one is the entry that the snapshot was made of.
- `context`: the identity fields and sections that are not empty, by their names.

So two entries, or two states of one entry, never share a name. Times are left out, because the
store sets them. So are fields of a newer contract: the versions in `composed_from` cover them.
"""

import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, cast

import rfc8785

from relevo_client._context.errors import RelevoError
from relevo_client._context.keys import ContextKey
from relevo_client._context.model import IDENTITY, ExecutionContext
from relevo_client._context.paths import SECTIONS
from relevo_client._context.reasons import Reason
from relevo_client._context.values import EXACT

SCOPE = "snapshot"
_DIGEST = re.compile(r"sha256-[0-9a-f]{64}")


def key_of(tenant_id: str, context: ExecutionContext) -> ContextKey:
    """The key of the snapshot with this context, whose `composed_from` must be set.

    Raises RelevoError with the reason CORRUPT_ENTRY for NaN and infinities, which only a
    defective store returns.
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
    """Whether a key is a snapshot's digest, by which its context can be verified."""
    return key.scope == SCOPE and _DIGEST.fullmatch(key.id) is not None


def verify(key: ContextKey, context: ExecutionContext) -> None:
    """Verify a received context against its key, if the key is a digest.

    Raises RelevoError with the reason CORRUPT_ENTRY if the key is that of another snapshot.
    """
    if is_digest(key) and (context.includes or key_of(key.tenant_id, context) != key):
        raise RelevoError(
            f"the store's entry under {key} is not the snapshot of that name",
            reason=Reason.CORRUPT_ENTRY,
            metadata={"key": key.text},
        )


def _exact(value: Any) -> Any:
    """The value with 2^53 as a double: the canonical form takes only smaller integers."""
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
