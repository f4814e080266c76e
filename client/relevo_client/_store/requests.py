"""The calls of the store as plain functions: arguments to requests, responses to values.

Blocking and asyncio clients share these; only the sending is their own.
"""

import re
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from relevo_client._context.entry import ContextEntry, composed, with_fence
from relevo_client._context.errors import InvalidFieldError, RelevoError
from relevo_client._context.keys import MAX_REVISION, ContextKey, ContextRef
from relevo_client._context.model import SECTIONS, ExecutionContext
from relevo_client._context.reasons import Reason
from relevo_client._store.statuses import error_of_status

MAX_BATCH = 100
_STRONG = store_pb2.Consistency.CONSISTENCY_STRONG
_CACHED = store_pb2.Consistency.CONSISTENCY_CACHED
_WIRE_NAMES = {"created_at": "create_time", "updated_at": "update_time"}
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Invalidation:
    """The result of an invalidation."""

    revision: int
    """Everything it named with a version at or below this is dead."""
    count: int | None
    """How many live entries were ended; None for a whole tenant."""


def get_request(
    key: ContextKey, *, min_revision: int = 0, layers: bool = False, cached: bool = False
) -> store_pb2.GetRequest:
    """A Get of one entry; where `cached`, the server's memory may answer it."""
    if not 0 <= min_revision <= MAX_REVISION:
        raise InvalidFieldError([("min_revision", "must be from 0 to 2^63 - 1")])
    return store_pb2.GetRequest(
        key=key.to_message(),
        min_revision=min_revision,
        include_layers=layers,
        consistency=_CACHED if cached else _STRONG,
    )


def entry_of(response: store_pb2.GetResponse) -> ContextEntry:
    """The entry that a Get answered, and its layers."""
    revision = response.revision
    layers = tuple(entry_from_message(layer, revision) for layer in response.layers)
    return entry_from_message(response.entry, revision, layers)


def versions_in(response: store_pb2.GetResponse) -> tuple[int, ...]:
    """The versions of the entry and of the layers that a Get answered, in order."""
    return response.entry.version, *[layer.version for layer in response.layers]


def resolved(
    response: store_pb2.GetResponse, ref: ContextRef, composition: ContextEntry | None
) -> ContextEntry:
    """The composed entry that a Get with layers answered to the resolution of a reference.

    Its revision is the last one that made a difference to it, or the fence. `held` is the
    caller's own composition of just these versions: they need not be taken apart again.
    """
    entry = composition or replace(
        composed(entry_of(response)), revision=max(versions_in(response))
    )
    return with_fence(entry, ref.revision)


class Batch:
    """The progress of a `batch_get`: what is still to be asked for, and what came."""

    def __init__(self, keys: Sequence[ContextKey]) -> None:
        self._keys = keys
        self._results: dict[int, ContextEntry | RelevoError] = {}
        self.pending = list(range(len(keys)))
        """Which keys have no result yet, by their places."""

    def request(self) -> store_pb2.BatchGetRequest:
        """The next call: the first of those that wait."""
        asked = self.pending[:MAX_BATCH]
        return store_pb2.BatchGetRequest(requests=[get_request(self._keys[i]) for i in asked])

    def add(self, response: store_pb2.BatchGetResponse) -> None:
        """Keep what the call answered; what had no room in the answer waits on."""
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
) -> store_pb2.PutRequest:
    """A Put of a whole context."""
    if if_absent and if_version is not None:
        raise InvalidFieldError([("if_absent", "cannot be together with if_version")])
    request = _put_request(key, context_to_message(context), ttl, if_version, if_absent=if_absent)
    if lease_token:
        request.lease_token = lease_token
    return request


def update_request(
    key: ContextKey,
    changes: Mapping[str, Any],
    *,
    clear: Sequence[str],
    ttl: timedelta | float | None,
    if_version: int | None,
) -> store_pb2.PutRequest:
    """A Put of parts: of a section the keys that are given, of all else the whole field."""
    # Validated as a context, so that a wrong value is refused here, by its path.
    try:
        fields = dict(ExecutionContext.model_validate(dict(changes)))
    except ValidationError as error:
        raise InvalidFieldError(_violations(error)) from None
    message = context_pb2.ExecutionContext()
    fill_context(message, {name: fields[name] for name in changes})
    paths = list(clear)
    for name in changes:
        if name in SECTIONS:
            paths += [f"{name}.{_segment(key)}" for key in fields[name]]
        else:
            paths.append(_WIRE_NAMES.get(name, name))
    if not paths:
        raise InvalidFieldError([("changes", "must not be empty where nothing is cleared")])
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
        for field, description in cause.violations:  # of a section with its whole path
            yield field if field.startswith(path) else path, description


def _segment(key: str) -> str:
    return key if _IDENTIFIER.fullmatch(key) else "`" + key.replace("`", "``") + "`"


def _put_request(
    key: ContextKey,
    message: context_pb2.ExecutionContext,
    ttl: timedelta | float | None,
    if_version: int | None,
    *,
    if_absent: bool = False,
) -> store_pb2.PutRequest:
    request = store_pb2.PutRequest(key=key.to_message(), context=message, request_id=_request_id())
    if ttl is not None:
        try:
            lifetime = ttl if isinstance(ttl, timedelta) else timedelta(seconds=ttl)
        except (OverflowError, ValueError):
            raise InvalidFieldError([("ttl", "must be a time to live in seconds")]) from None
        request.ttl.FromTimedelta(lifetime)
    if if_version is not None:
        if not 0 < if_version <= MAX_REVISION:
            raise InvalidFieldError([("if_version", "must be a version, from 1 to 2^63 - 1")])
        request.if_version = if_version
    elif if_absent:
        request.if_absent = True
    return request


def _request_id() -> str:
    """Makes it safe to send the request again when its answer is lost."""
    return uuid.uuid4().hex


def put_ref(key: ContextKey, response: store_pb2.PutResponse) -> ContextRef:
    """The reference of what a Put wrote; its revision is the entry's version."""
    return ContextRef(key, response.revision)


def invalidate_request(keys: Iterable[ContextKey]) -> store_pb2.InvalidateRequest:
    """An Invalidate of single entries of one tenant."""
    request = store_pb2.InvalidateRequest(request_id=_request_id())
    request.keys.keys.extend(key.to_message() for key in keys)
    request.keys.SetInParent()
    return request


def invalidate_tenant_request(tenant_id: str, scope: str) -> store_pb2.InvalidateRequest:
    """An Invalidate of a tenant, or of one scope of it."""
    return store_pb2.InvalidateRequest(
        tenant=store_pb2.TenantSelector(tenant_id=tenant_id, scope=scope),
        request_id=_request_id(),
    )


def invalidation_of(response: store_pb2.InvalidateResponse, *, keys: bool) -> Invalidation:
    """What an Invalidate answered."""
    return Invalidation(response.revision, response.invalidated_count if keys else None)


def ref_of(target: ContextKey | ContextRef) -> ContextRef:
    """A key as a reference that asks for nothing newer."""
    return target if isinstance(target, ContextRef) else ContextRef(target)
