"""Invalidate: the entries to end."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from relevo.v1.context_pb2 import ContextKey
from relevo.v1.store_pb2 import InvalidateRequest

from relevo_server.errors import Violation
from relevo_server.keys import Key
from relevo_server.roles import INVALIDATE
from relevo_server.storage.interface import Once
from relevo_server.wire.contexts import key_of, key_problems
from relevo_server.wire.decoding import MAX_LIST_BYTES, decoder
from relevo_server.wire.requests.rules import (
    MAX_BATCH,
    Rights,
    canonical,
    once_of,
    refuse,
    request_id_problems,
    selector_problems,
)

_decode = decoder(InvalidateRequest, MAX_LIST_BYTES)


class InvalidateKeys(NamedTuple):
    """A checked InvalidateRequest for single entries of one tenant."""

    keys: Sequence[Key]
    once: Once | None
    principal: str = ""
    """The principal that asks, "" if the server has none."""

    @property
    def tenant_id(self) -> str:
        """The tenant of all keys."""
        return self.keys[0].tenant_id


class InvalidateTenant(NamedTuple):
    """A checked InvalidateRequest for all entries of a tenant, or of one scope of it."""

    tenant_id: str
    scope: str
    """"" for every scope."""
    once: Once | None
    principal: str = ""
    """The principal that asks, "" if the server has none."""


def read_invalidate(serialized: bytes, rights: Rights) -> InvalidateKeys | InvalidateTenant:
    """Read an InvalidateRequest. Raises PERMISSION_DENIED or INVALID_ARGUMENT."""
    request = _decode(serialized)
    keys = [key_of(message) for message in request.keys.keys[:MAX_BATCH]]
    # Before the rules: nobody is told what is wrong with a request that they may not send.
    if request.HasField("tenant"):
        rights.require(request.tenant.tenant_id, INVALIDATE, request.tenant.scope)
    for scope in dict.fromkeys(key.scope for key in keys):
        rights.require(keys[0].tenant_id, INVALIDATE, scope)
    refuse(_problems(request, keys))
    once = once_of(request.request_id, canonical(request))
    if request.HasField("tenant"):
        return InvalidateTenant(request.tenant.tenant_id, request.tenant.scope, once, rights.name)
    return InvalidateKeys(keys, once, rights.name)


def _problems(request: InvalidateRequest, keys: Sequence[Key]) -> Iterator[Violation]:
    match request.WhichOneof("target"):
        case "keys":
            yield from _keys_problems(request.keys.keys, keys)
        case "tenant":
            tenant = request.tenant
            yield from selector_problems("tenant.", tenant.tenant_id, tenant.scope)
        case _:
            yield "target", "must be given: keys or tenant"
    yield from request_id_problems(request.request_id)


def _keys_problems(messages: Sequence[ContextKey], keys: Sequence[Key]) -> Iterator[Violation]:
    """The broken rules of the keys. `keys` has no more than are allowed, `messages` has all."""
    if not 1 <= len(messages) <= MAX_BATCH:
        yield "keys.keys", f"must have 1 to {MAX_BATCH} entries, has {len(messages)}"
    for i, key in enumerate(keys):
        yield from key_problems(key, f"keys.keys[{i}]")
        if key.tenant_id != keys[0].tenant_id:
            yield f"keys.keys[{i}].tenant_id", "must be the same for all keys"
