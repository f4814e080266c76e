"""The rules of requests: what is malformed, said by the path of the field.

Each function here takes a message, and answers its values or raises
INVALID_ARGUMENT with every broken rule that it found. Most calls are Gets: what
they break is kept with what they say.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

from google.protobuf.duration_pb2 import Duration
from relevo.v1.context_pb2 import ContextKey
from relevo.v1.store_pb2 import (
    BatchGetRequest,
    Consistency,
    GetRequest,
    InvalidateRequest,
    LeaseRequest,
    PutRequest,
    ReleaseRequest,
    Subscribe,
    TenantSelector,
    Touch,
    Unsubscribe,
    WatchRequest,
)

from relevo_server import errors
from relevo_server.errors import Violation
from relevo_server.keys import Key, part_problem
from relevo_server.revisions import MAX_REVISION
from relevo_server.wire import masks
from relevo_server.wire.contexts import context_problems, key_of, key_problems
from relevo_server.wire.decoding import decoder

MAX_BATCH = 100
MAX_REQUEST_ID_BYTES = 128
_CONSISTENCIES = frozenset(Consistency.values())
_MAX_REMEMBERED = 1024  # bytes; no Get that keeps the rules is longer
_decode_get = decoder(GetRequest)


def refuse(violations: Iterable[Violation]) -> None:
    """Raise INVALID_ARGUMENT if there is a violation."""
    found = iter(violations)
    first = next(found, None)
    if first:
        raise errors.invalid(chain([first], found))


class Get(NamedTuple):
    """A GetRequest, as far as it is answered by."""

    key: Key
    min_revision: int
    known_version: int
    is_cached: bool
    include_layers: bool
    violations: Sequence[Violation]


def read_get(serialized: bytes) -> Get:
    """A Get, not refused yet. Raises INVALID_ARGUMENT if the bytes are no GetRequest.

    A service asks for the contexts that it works with in the same words again and again: they
    are read once, and looked up from then on.
    """
    if len(serialized) > _MAX_REMEMBERED:
        return get_of(_decode_get(serialized))
    return _remembered(serialized)


@lru_cache(4096)
def _remembered(serialized: bytes) -> Get:
    return get_of(_decode_get(serialized))


def get_of(request: GetRequest) -> Get:
    """A Get, not refused yet."""
    key = key_of(request.key)
    return Get(
        key,
        request.min_revision,
        request.known_version,
        request.consistency == Consistency.CONSISTENCY_CACHED,
        request.include_layers,
        tuple(_get_problems(request, key)),
    )


def _get_problems(request: GetRequest, key: Key) -> Iterator[Violation]:
    yield from key_problems(key, "key")
    for field, value in (
        ("min_revision", request.min_revision),
        ("known_version", request.known_version),
    ):
        if value < 0:
            yield field, "must not be negative"
    if request.consistency not in _CONSISTENCIES:
        yield "consistency", "is not a known value"


def check_batch(request: BatchGetRequest) -> None:
    """The number of Gets in a batch. Each Get is checked on its own."""
    count = len(request.requests)
    if not 1 <= count <= MAX_BATCH:
        refuse([("requests", f"must have 1 to {MAX_BATCH} entries, has {count}")])


def check_put(request: PutRequest, *, max_ttl_ms: int) -> tuple[Key, list[masks.Path] | None]:
    """The key and the mask of a Put; the mask is None where the whole context is put."""
    key = key_of(request.key)
    violations = list(_put_problems(request, key, max_ttl_ms))
    paths = None
    try:
        paths = masks.parse(request.update_mask.paths)
    except ValueError as error:
        violations.append(("update_mask", str(error)))
    refuse(violations)
    return key, paths


def _put_problems(request: PutRequest, key: Key, max_ttl_ms: int) -> Iterator[Violation]:
    yield from key_problems(key, "key")
    if not request.HasField("context"):
        yield "context", "must be given"
    yield from context_problems(request.context, key)
    if request.HasField("ttl"):
        ttl = duration_ms(request.ttl)
        if ttl is None or not 0 < ttl <= max_ttl_ms:
            yield "ttl", f"must be more than 0 s and at most {max_ttl_ms / 1000:g} s"
    match request.WhichOneof("precondition"):
        case "if_version" if request.if_version <= 0:
            yield "if_version", "must be a version, which is more than 0"
        case "if_absent" if not request.if_absent:
            yield "if_absent", "must be true where it is given"
        case "if_absent" if request.update_mask.paths:
            yield "if_absent", "cannot be together with update_mask"
        case "lease_token" if not request.lease_token:
            yield "lease_token", "must not be empty"
        case "lease_token" if request.update_mask.paths:
            yield "lease_token", "cannot be together with update_mask"
        case _:
            pass
    yield from _request_id_problems(request.request_id)


def _request_id_problems(request_id: str) -> Iterator[Violation]:
    if len(request_id.encode()) > MAX_REQUEST_ID_BYTES:
        yield "request_id", f"must have at most {MAX_REQUEST_ID_BYTES} bytes"


def check_lease(request: LeaseRequest) -> Key:
    """The key of a Lease."""
    key = key_of(request.key)
    refuse(_lease_problems(request, key))
    return key


def _lease_problems(request: LeaseRequest, key: Key) -> Iterator[Violation]:
    yield from key_problems(key, "key")
    if duration_ms(request.wait) is None:
        yield "wait", "must be a duration that is not negative"
    if request.renew_version < 0:
        yield "renew_version", "must not be negative"
    yield from _request_id_problems(request.request_id)


def check_release(request: ReleaseRequest) -> Key:
    """The key of a Release."""
    key = key_of(request.key)
    problems = [*key_problems(key, "key")]
    if not request.lease_token:
        problems.append(("lease_token", "must not be empty"))
    refuse(problems)
    return key


def check_invalidate(request: InvalidateRequest) -> Sequence[Key] | TenantSelector:
    """The keys of one tenant, or a tenant."""
    refuse(_invalidate_problems(request))
    if request.HasField("tenant"):
        return request.tenant
    return [key_of(key) for key in request.keys.keys]


def _invalidate_problems(request: InvalidateRequest) -> Iterator[Violation]:
    match request.WhichOneof("target"):
        case "keys":
            yield from _keys_problems(request.keys.keys)
        case "tenant":
            yield from _selector_problems(request.tenant)
        case _:
            yield "target", "must be given: keys or tenant"
    yield from _request_id_problems(request.request_id)


def _keys_problems(messages: Sequence[ContextKey]) -> Iterator[Violation]:
    if not 1 <= len(messages) <= MAX_BATCH:
        yield "keys.keys", f"must have 1 to {MAX_BATCH} entries, has {len(messages)}"
    keys = [key_of(message) for message in messages[:MAX_BATCH]]
    for i, key in enumerate(keys):
        yield from key_problems(key, f"keys.keys[{i}]")
        if key.tenant_id != keys[0].tenant_id:
            yield f"keys.keys[{i}].tenant_id", "must be the same for all keys"


def _selector_problems(tenant: TenantSelector) -> Iterator[Violation]:
    problem = part_problem(tenant.tenant_id)
    if problem:
        yield "tenant.tenant_id", problem
    problem = tenant.scope and part_problem(tenant.scope)
    if problem:
        yield "tenant.scope", problem


def check_watch(request: WatchRequest) -> Key:
    """The key that a message of a watcher is about."""
    kind = request.WhichOneof("request")
    if kind is None:
        raise errors.invalid([("request", "must be given: subscribe, unsubscribe, touch or ping")])
    message: Subscribe | Unsubscribe | Touch = getattr(request, kind)
    key = key_of(message.key)
    refuse(_watch_problems(message, key, kind))
    return key


def _watch_problems(
    message: Subscribe | Unsubscribe | Touch, key: Key, kind: str
) -> Iterator[Violation]:
    yield from key_problems(key, f"{kind}.key")
    if isinstance(message, Subscribe):
        for field, value in (
            ("known_version", message.known_version),
            ("position", message.position),
            ("number", message.number),
        ):
            if value < 0:
                yield f"{kind}.{field}", "must not be negative"


def duration_ms(duration: Duration) -> int | None:
    """A positive duration in milliseconds, rounded up; None where it is malformed."""
    if duration.seconds < 0 or not 0 <= duration.nanos < 1_000_000_000:
        return None
    if duration.seconds > MAX_REVISION // 1000:
        return None
    return duration.seconds * 1000 + math.ceil(duration.nanos / 1_000_000)
