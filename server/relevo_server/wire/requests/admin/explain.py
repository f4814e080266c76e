"""Explain: a context whose values are to be explained."""

from itertools import chain

from relevo.admin.v1.admin_pb2 import ExplainRequest

from relevo_server.roles import ADMIN, READ
from relevo_server.wire.contexts import key_of, key_problems
from relevo_server.wire.decoding import decoder
from relevo_server.wire.requests.get import Get
from relevo_server.wire.requests.rules import Rights, negative_problems, refuse

_decode = decoder(ExplainRequest)


def read_explain(serialized: bytes, rights: Rights) -> Get:
    """Read an ExplainRequest: the Get of a context with its layers, from the store.

    Raises PERMISSION_DENIED or INVALID_ARGUMENT.
    """
    request = _decode(serialized)
    key = key_of(request.key)
    rights.require(key.tenant_id, ADMIN, key.scope)
    rights.require(key.tenant_id, READ, key.scope)  # it shows values
    refuse(
        chain(key_problems(key, "key"), negative_problems("", min_revision=request.min_revision))
    )
    return Get(
        key,
        request.min_revision,
        known_version=0,
        is_cached=False,
        include_layers=True,
        readable=rights.readable,
    )
