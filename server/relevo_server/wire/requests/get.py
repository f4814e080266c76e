"""Get and BatchGet: the entries to read, and how new they must be."""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from relevo.v1.store_pb2 import BatchGetRequest, Consistency, GetRequest

from relevo_server import errors
from relevo_server.errors import StoreError, Violation
from relevo_server.keys import Key
from relevo_server.roles import READ, Scopes
from relevo_server.wire.contexts import key_of, key_problems
from relevo_server.wire.decoding import MAX_LIST_BYTES, decoder
from relevo_server.wire.requests.rules import MAX_BATCH, Rights, negative_problems, refuse

_CONSISTENCIES = frozenset(Consistency.values())
_MAX_REMEMBERED = 1024  # bytes; no Get that keeps the rules is longer
_decode_get = decoder(GetRequest)
_decode_batch = decoder(BatchGetRequest, MAX_LIST_BYTES)


class Get(NamedTuple):
    """A checked GetRequest."""

    key: Key
    min_revision: int
    known_version: int
    is_cached: bool
    include_layers: bool
    readable: Scopes = None
    """The scopes that the caller may read, None for all."""

    def require_layers(self, layers: Iterable[Key]) -> None:
        """Raise PERMISSION_DENIED if the caller may not read one of the entry's layers."""
        if self.readable is not None:
            for layer in layers:
                if layer.scope not in self.readable:
                    raise errors.role_denied(READ, layer.scope)


class _Parsed(NamedTuple):
    """A Get and its broken rules, which are told only to a caller who may use the tenant."""

    get: Get
    violations: Sequence[Violation]


def read_get(serialized: bytes, rights: Rights) -> Get:
    """Read a GetRequest. Raises PERMISSION_DENIED or INVALID_ARGUMENT.

    A service asks for the contexts that it works with in the same bytes again and again: these
    are parsed once, and looked up from then on.
    """
    if len(serialized) > _MAX_REMEMBERED:
        return _checked(_parsed(_decode_get(serialized)), rights)
    return _checked(_remembered(serialized), rights)


def read_batch(serialized: bytes, rights: Rights) -> Sequence[Get | StoreError]:
    """Read a BatchGetRequest: for each of its Gets the value, or the error that it ends with.

    Raises INVALID_ARGUMENT if their number breaks the rule.
    """
    request = _decode_batch(serialized)
    count = len(request.requests)
    if not 1 <= count <= MAX_BATCH:
        refuse([("requests", f"must have 1 to {MAX_BATCH} entries, has {count}")])
    return [_checked_or_error(_parsed(each), rights) for each in request.requests]


@lru_cache(4096)
def _remembered(serialized: bytes) -> _Parsed:
    return _parsed(_decode_get(serialized))


def current_of(key: Key, rights: Rights) -> Get:
    """The read of an entry with its layers as they are now, by a caller who may read the entry."""
    return Get(key, 0, 0, is_cached=False, include_layers=True, readable=rights.readable)


def get_of(request: GetRequest) -> Get:
    """The read that a request asks for, unchecked."""
    return Get(
        key_of(request.key),
        request.min_revision,
        request.known_version,
        request.consistency == Consistency.CONSISTENCY_CACHED,
        request.include_layers,
    )


def get_problems(get: Get, consistency: Consistency) -> Iterator[Violation]:
    """The broken rules of a read with this `consistency`."""
    yield from key_problems(get.key, "key")
    yield from negative_problems("", min_revision=get.min_revision, known_version=get.known_version)
    if consistency not in _CONSISTENCIES:
        yield "consistency", "is not a known value"


def _parsed(request: GetRequest) -> _Parsed:
    get = get_of(request)
    return _Parsed(get, tuple(get_problems(get, request.consistency)))


def _checked(parsed: _Parsed, rights: Rights) -> Get:
    get, violations = parsed
    rights.require(get.key.tenant_id, READ, get.key.scope)
    if violations:
        raise errors.invalid(violations)
    if get.include_layers and rights.readable is not None:
        return get._replace(readable=rights.readable)
    return get


def _checked_or_error(parsed: _Parsed, rights: Rights) -> Get | StoreError:
    try:
        return _checked(parsed, rights)
    except StoreError as error:
        return error
