"""Errors of a request: it is malformed, too large, not allowed, or one too many."""

from collections.abc import Iterable, Mapping
from itertools import chain

from grpc import StatusCode

from relevo_server.errors.base import RETRY_DELAY, StoreError
from relevo_server.errors.reason import Reason
from relevo_server.errors.texts import (
    MAX_DESCRIPTION,
    MAX_FIELD,
    MAX_MESSAGE,
    encoded_size,
    shortened,
)
from relevo_server.keys import Key
from relevo_server.roles import Role

MAX_VIOLATIONS = 20
"""The most broken rules that one error names; of the others it gives the number."""
MAX_COUNTED = 20_000
"""The most others that are counted: each is looked for when it is counted."""
Violation = tuple[object, str]
"""A broken rule: (field, description). `str(field)` is the field's path."""


def invalid(
    violations: Iterable[Violation],
    reason: Reason = Reason.INVALID_FIELD,
    metadata: Mapping[str, str] | None = None,
) -> StoreError:
    """INVALID_ARGUMENT: fields of the request break rules.

    Raised before anything is done. The client has to correct the request: repeating it does not
    help. The first violations are named, as many as a status has room for; the rest is counted,
    up to 20,000, in the metadata `violations_left_out`.
    """
    named: list[tuple[str, str]] = []
    texts: list[str] = []
    room = MAX_MESSAGE - len("; and 1000000 more")
    others = 0
    for field, description in violations:
        if others or len(named) == MAX_VIOLATIONS:
            others += 1
            if others == MAX_COUNTED:
                break
            continue
        violation = (
            shortened(str(field), MAX_FIELD),
            shortened(description, MAX_DESCRIPTION),
        )
        text = ": ".join(violation)
        room -= encoded_size(text) + len("; ")
        if room < 0:
            others = 1
            continue
        named.append(violation)
        texts.append(text)
    metadata = dict(metadata or {})
    if others:
        texts.append(f"and {others} more")
        metadata["violations_left_out"] = str(others)
    return StoreError(
        StatusCode.INVALID_ARGUMENT,
        reason,
        "; ".join(texts),
        metadata=metadata,
        violations=named,
    )


def schema_broken(scope: str, first: Violation, others: Iterable[Violation]) -> StoreError:
    """INVALID_ARGUMENT: a Put's context breaks the schema of its scope.

    The client has to correct the context, or the operator the schema in `schemas`.
    """
    return invalid(chain([first], others), Reason.SCHEMA_VIOLATION, {"scope": scope})


def request_id_reused(owner: Key | str) -> StoreError:
    """INVALID_ARGUMENT: the `request_id` belongs to a different request.

    Raised if another Put of the key, or another Invalidate of the tenant, was answered under it.
    The client has to choose a new one for each request.
    """
    if isinstance(owner, Key):
        text, metadata = "was already used for a different Put", {"key": str(owner)}
    else:
        text, metadata = "was already used for a different Invalidate", {"tenant_id": owner}
    return StoreError(
        StatusCode.INVALID_ARGUMENT,
        Reason.REQUEST_ID_REUSED,
        f"request_id: {text}",
        metadata=metadata,
        violations=[("request_id", text)],
    )


def context_too_large(size: int, limit: int) -> StoreError:
    """RESOURCE_EXHAUSTED: a Put's context is larger than the server accepts.

    `size` and `limit` are bytes of the serialized context. The client has to store less, or the
    operator has to raise `max_context_bytes`.
    """
    return StoreError(
        StatusCode.RESOURCE_EXHAUSTED,
        Reason.CONTEXT_TOO_LARGE,
        f"context: has {size} bytes, at most {limit} are allowed",
        metadata={"size_bytes": str(size), "limit_bytes": str(limit)},
    )


def response_too_large(limit: int) -> StoreError:
    """RESOURCE_EXHAUSTED: a BatchGet's answer has no room for this result. `limit` in bytes.

    The client can ask for the entry again: the first result of an answer always has room.
    """
    return StoreError(
        StatusCode.RESOURCE_EXHAUSTED,
        Reason.RESPONSE_TOO_LARGE,
        f"the other answers fill the batch (limit {limit} bytes); ask for it again",
        metadata={"limit_bytes": str(limit)},
    )


def too_many_requests(limit: int) -> StoreError:
    """RESOURCE_EXHAUSTED: the server already works on `limit` calls.

    The client can repeat the call after the RetryInfo's delay, or go to another server.
    """
    return StoreError(
        StatusCode.RESOURCE_EXHAUSTED,
        Reason.TOO_MANY_REQUESTS,
        f"the server works on {limit} calls already",
        retry_after=RETRY_DELAY,
    )


def answers_unsent(limit: int) -> StoreError:
    """RESOURCE_EXHAUSTED: the caller has not yet received earlier answers, of about `limit` bytes.

    The client has to read its answers. It can repeat the call after the RetryInfo's delay.
    """
    return StoreError(
        StatusCode.RESOURCE_EXHAUSTED,
        Reason.TOO_MANY_REQUESTS,
        f"the caller has to receive earlier answers first (limit {limit} bytes)",
        retry_after=RETRY_DELAY,
    )


def unauthenticated() -> StoreError:
    """UNAUTHENTICATED: the call has no token, or one that the server does not know.

    Raised before the request is read. The client has to send a token that is in the settings.
    """
    return StoreError(
        StatusCode.UNAUTHENTICATED,
        Reason.UNAUTHENTICATED,
        "metadata 'authorization' must be 'Bearer' and a known token",
    )


def token_expired() -> StoreError:
    """UNAUTHENTICATED: the call's token was valid, and has expired.

    Raised before the request is read, and within a stream whose token expires meanwhile. The client
    has to send a new token.
    """
    return StoreError(StatusCode.UNAUTHENTICATED, Reason.UNAUTHENTICATED, "the token has expired")


def claim_refused(claim: str) -> StoreError:
    """UNAUTHENTICATED: a claim of a verified token is missing, or cannot be used.

    The issuer of the token has to put it there, or the operator has to set another name for it.
    """
    return StoreError(
        StatusCode.UNAUTHENTICATED,
        Reason.UNAUTHENTICATED,
        f"the token lacks the claim {claim}, or has one that cannot be used",
    )


def tenant_denied(tenant_id: str) -> StoreError:
    """PERMISSION_DENIED: the caller's token does not open this tenant.

    The client needs another token, or the operator has to add the tenant to this one.
    """
    return StoreError(
        StatusCode.PERMISSION_DENIED,
        Reason.TENANT_DENIED,
        "the caller may not use this tenant",
        metadata={"tenant_id": tenant_id},
    )


def tenants_denied() -> StoreError:
    """PERMISSION_DENIED: the method is about all tenants, and the caller's token opens only some.

    The operator has to give the principal the tenants `*`.
    """
    return StoreError(
        StatusCode.PERMISSION_DENIED,
        Reason.TENANT_DENIED,
        "the caller may not use all tenants",
    )


def role_denied(role: Role, scope: str | None = None) -> StoreError:
    """PERMISSION_DENIED: the caller lacks the role that the method needs.

    `scope` is the scope that the role is needed for, "" for all scopes, None for any. The operator
    has to give the role to the principal.
    """
    where = "" if scope is None else f" for the scope {scope}" if scope else " for all scopes"
    return StoreError(
        StatusCode.PERMISSION_DENIED,
        Reason.ROLE_DENIED,
        f"the caller does not have the role {role}{where}",
        metadata={"role": role, "scope": scope} if scope else {"role": role},
    )


def page_token_unknown() -> StoreError:
    """INVALID_ARGUMENT: the `page_token` did not come from this list.

    It is damaged, or an answer to a request with other fields had it. The client has to begin
    again with the first page.
    """
    return invalid([("page_token", "must be empty or the next_page_token of the same list")])
