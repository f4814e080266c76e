"""What can go wrong: one exception, and a function for each status of the wire contract.

Each function's docstring says when its error is raised and what the client can do about it.
"""

from relevo_server.errors.availability import (
    internal,
    not_encrypted,
    stopping,
    store_full,
    unavailable,
)
from relevo_server.errors.base import RETRY_DELAY, StoreError, spread
from relevo_server.errors.entries import (
    conflict,
    contention,
    corrupt_entry,
    corrupt_key,
    lease_held,
    lease_lost,
    no_entry,
    store_behind,
)
from relevo_server.errors.quotas import quota_exceeded, stored_too_much
from relevo_server.errors.reason import Reason
from relevo_server.errors.requests import (
    MAX_VIOLATIONS,
    Violation,
    answers_unsent,
    claim_refused,
    context_too_large,
    invalid,
    page_token_unknown,
    request_id_reused,
    response_too_large,
    role_denied,
    schema_broken,
    tenant_denied,
    tenants_denied,
    token_expired,
    too_many_requests,
    unauthenticated,
)

__all__ = [
    "MAX_VIOLATIONS",
    "RETRY_DELAY",
    "Reason",
    "StoreError",
    "Violation",
    "answers_unsent",
    "claim_refused",
    "conflict",
    "contention",
    "context_too_large",
    "corrupt_entry",
    "corrupt_key",
    "internal",
    "invalid",
    "lease_held",
    "lease_lost",
    "no_entry",
    "not_encrypted",
    "page_token_unknown",
    "quota_exceeded",
    "request_id_reused",
    "response_too_large",
    "role_denied",
    "schema_broken",
    "spread",
    "stopping",
    "store_behind",
    "store_full",
    "stored_too_much",
    "tenant_denied",
    "tenants_denied",
    "token_expired",
    "too_many_requests",
    "unauthenticated",
    "unavailable",
]
