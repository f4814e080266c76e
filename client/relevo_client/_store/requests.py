"""The store's RPCs as pure functions: from arguments to requests, from responses to values.

Blocking and asyncio clients share them; only the sending differs.
"""

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask
from pydantic import ValidationError
from relevo.v1 import context_pb2, store_pb2

from relevo_client._context.codec import (
    context_to_message,
    entry_from_message,
    fill_context,
)
from relevo_client._context.entry import ContextEntry, composed
from relevo_client._context.errors import InvalidFieldError, RelevoError
from relevo_client._context.keys import MAX_REVISION, ContextKey, ContextRef, must_be_key
from relevo_client._context.model import ExecutionContext
from relevo_client._context.paths import SECTIONS, segment
from relevo_client._context.reasons import Reason
from relevo_client._context.signatures import later
from relevo_client._context.sources import ContextSource
from relevo_client._store.statuses import error_of_status

MAX_BATCH = 100
_STRONG = store_pb2.Consistency.CONSISTENCY_STRONG
_CACHED = store_pb2.Consistency.CONSISTENCY_CACHED
_WIRE_NAMES = {"created_at": "create_time", "updated_at": "update_time"}


@dataclass(frozen=True)
class Invalidation:
    """The result of an invalidation."""

    revision: int
    """The revision of the invalidation: the named entries with versions up to it are dead."""
    count: int | None
    """The number of live entries that it ended; None for a tenant or a scope of one."""


def get_request(
    key: ContextKey, *, min_revision: int = 0, layers: bool = False, cached: bool = False
) -> store_pb2.GetRequest:
    """A Get request for one entry; if `cached`, the server may answer it from its memory.

    Raises InvalidFieldError if `min_revision` is not from 0 to 2^63 - 1.
    """
    must_be_key(key)
    if not 0 <= min_revision <= MAX_REVISION:
        raise InvalidFieldError([("min_revision", "must be from 0 to 2^63 - 1")])
    return store_pb2.GetRequest(
        key=key.to_message(),
        min_revision=min_revision,
        include_layers=layers,
        consistency=_CACHED if cached else _STRONG,
    )


def entry_of(response: store_pb2.GetResponse) -> ContextEntry:
    """The entry in the response to a Get, with its layers."""
    revision = response.revision
    layers = tuple(entry_from_message(layer, revision) for layer in response.layers)
    return entry_from_message(response.entry, revision, layers)


def versions_in(response: store_pb2.GetResponse) -> tuple[int, ...]:
    """The versions in the response to a Get: the entry's, then those of its layers in order."""
    return response.entry.version, *[layer.version for layer in response.layers]


def resolved(
    response: store_pb2.GetResponse,
    ref: ContextRef,
    composition: ContextEntry | None,
    source: ContextSource,
) -> ContextEntry:
    """The composed entry for a reference, from the response to a Get with layers.

    Its revision is the newest version of its parts, or the fence if that is later. `composition`
    is the near cache's composition of the same versions, which saves the conversion, or None.
    """
    entry = composition or composed(entry_of(response))
    revision = max(ref.revision, *versions_in(response))
    signature = later(response.entry.signature, ref.signature)
    return replace(entry, revision=revision, source=source, signature=signature)


class Batch:
    """The progress of a `batch_get`: the keys that have no result yet, and the results.

    `fence_of` returns the fence of a tenant's entries.
    """

    def __init__(self, keys: Sequence[ContextKey], fence_of: Callable[[str], int]) -> None:
        for key in keys:
            must_be_key(key)
        self._keys = keys
        self._fence_of = fence_of
        self._results: dict[int, ContextEntry | RelevoError] = {}
        self.pending = list(range(len(keys)))
        """The indexes of the keys that have no result yet."""

    def request(self) -> store_pb2.BatchGetRequest:
        """The next BatchGet request: for the first `MAX_BATCH` pending keys."""
        asked = [self._keys[i] for i in self.pending[:MAX_BATCH]]
        return store_pb2.BatchGetRequest(
            requests=[get_request(key, min_revision=self._fence_of(key.tenant_id)) for key in asked]
        )

    def add(self, response: store_pb2.BatchGetResponse) -> None:
        """Keep the results of the last request; keys without room in the response stay pending."""
        asked, self.pending = self.pending[:MAX_BATCH], self.pending[MAX_BATCH:]
        for i, result in zip(asked, response.results, strict=True):
            try:
                if result.HasField("error"):
                    raise error_of_status(result.error)
                self._results[i] = entry_of(result.response)
            except RelevoError as error:
                if error.reason == Reason.RESPONSE_TOO_LARGE:
                    self.pending.append(i)
                else:
                    self._results[i] = error

    def results(self) -> list[ContextEntry | RelevoError]:
        """The results in the order of the keys."""
        return [self._results[i] for i in range(len(self._keys))]


def put_request(
    key: ContextKey,
    context: ExecutionContext,
    *,
    ttl: timedelta | float | None,
    if_version: int | None = None,
    if_absent: bool = False,
    lease_token: str = "",
    layers: bool = False,
) -> store_pb2.PutRequest:
    """A Put request for a whole context. `ttl` is a timedelta or seconds, None for the default.

    With `layers`, the response may have the written entry and what it includes.

    Raises TypeError for a context that is no ExecutionContext, and InvalidFieldError for arguments
    that are invalid or exclude one another.
    """
    if not isinstance(context, ExecutionContext):  # pyright: ignore[reportUnnecessaryIsInstance]
        name = type(context).__name__
        raise TypeError(f"a context must be an ExecutionContext, and is {name}")
    if if_absent and if_version is not None:
        raise InvalidFieldError([("if_absent", "cannot be together with if_version")])
    request = _put_request(key, context_to_message(context), ttl, if_version, if_absent=if_absent)
    if lease_token:
        request.lease_token = lease_token
    request.include_layers = layers
    return request


def update_request(
    key: ContextKey,
    changes: Mapping[str, Any],
    *,
    clear: Sequence[str],
    ttl: timedelta | float | None,
    if_version: int | None,
) -> store_pb2.PutRequest:
    """A Put request for parts: the given keys of a section, and any other field as a whole.

    `clear` has paths of fields and keys to be removed. Raises InvalidFieldError for invalid
    values, or if nothing is changed.
    """
    # Validated as a context, so that a wrong value is refused here with its path.
    try:
        fields = dict(ExecutionContext.model_validate(dict(changes)))
    except ValidationError as error:
        raise InvalidFieldError(_violations(error)) from None
    message = context_pb2.ExecutionContext()
    fill_context(message, {name: fields[name] for name in changes})
    paths = list(clear)
    for name in changes:
        if name in SECTIONS:
            paths += [f"{name}.{segment(key)}" for key in fields[name]]
        else:
            paths.append(_WIRE_NAMES.get(name, name))
    if not paths:
        raise InvalidFieldError([("changes", "must not be empty if nothing is cleared")])
    request = _put_request(key, message, ttl, if_version)
    request.update_mask.CopyFrom(FieldMask(paths=paths))
    return request


def _violations(error: ValidationError) -> Iterator[tuple[str, str]]:
    for problem in error.errors(include_input=False, include_url=False):
        path = ".".join(map(str, problem["loc"]))
        cause = problem.get("ctx", {}).get("error")
        if not isinstance(cause, InvalidFieldError):
            yield path, problem["msg"]
            continue
        for field, description in cause.violations:  # those of a section have the whole path
            yield field if field.startswith(path) else path, description


def _put_request(
    key: ContextKey,
    message: context_pb2.ExecutionContext,
    ttl: timedelta | float | None,
    if_version: int | None,
    *,
    if_absent: bool = False,
) -> store_pb2.PutRequest:
    must_be_key(key)
    request = store_pb2.PutRequest(key=key.to_message(), context=message, request_id=_request_id())
    if ttl is not None:
        request.ttl.FromTimedelta(lifetime_of(ttl))
    if if_version is not None:
        if not 0 < if_version <= MAX_REVISION:
            raise InvalidFieldError([("if_version", "must be a version, from 1 to 2^63 - 1")])
        request.if_version = if_version
    elif if_absent:
        request.if_absent = True
    return request


def lifetime_of(ttl: timedelta | float) -> timedelta:
    """A time to live, given as a timedelta or in seconds. Raises InvalidFieldError."""
    try:
        return ttl if isinstance(ttl, timedelta) else timedelta(seconds=ttl)
    except (OverflowError, ValueError):
        raise InvalidFieldError([("ttl", "must be a time to live in seconds")]) from None


def _request_id() -> str:
    """A new id, by which the store recognizes a request that is sent again."""
    return uuid.uuid4().hex


def put_ref(key: ContextKey, response: store_pb2.PutResponse) -> ContextRef:
    """The reference to the entry that a Put has written; its revision is the entry's version."""
    return ContextRef(key, response.revision, response.entry.signature)


def invalidate_request(keys: Iterable[ContextKey]) -> store_pb2.InvalidateRequest:
    """An Invalidate request for single entries of one tenant."""
    request = store_pb2.InvalidateRequest(request_id=_request_id())
    for key in keys:
        must_be_key(key)
        request.keys.keys.append(key.to_message())
    request.keys.SetInParent()
    return request


def invalidate_tenant_request(tenant_id: str, scope: str) -> store_pb2.InvalidateRequest:
    """An Invalidate request for a tenant, or for one scope of it; an empty scope means all."""
    return store_pb2.InvalidateRequest(
        tenant=store_pb2.TenantSelector(tenant_id=tenant_id, scope=scope),
        request_id=_request_id(),
    )


def invalidation_of(response: store_pb2.InvalidateResponse, *, keys: bool) -> Invalidation:
    """The result of an Invalidate; `keys` says whether it named single entries."""
    return Invalidation(response.revision, response.invalidated_count if keys else None)


def ref_of(target: ContextKey | ContextRef) -> ContextRef:
    """The reference itself, or a key as a reference without a fence."""
    return target if isinstance(target, ContextRef) else ContextRef(target)
