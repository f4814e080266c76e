"""What can go wrong: one exception, and a function for each status of the wire contract.

Each function's docstring says when its error is raised and what the client can do about it.
"""

from relevo_server.errors.availability import internal, stopping, store_full, unavailable
from relevo_server.errors.base import RETRY_DELAY, StoreError
from relevo_server.errors.entries import (
    conflict,
    contention,
    corrupt_entry,
    lease_held,
    lease_lost,
    no_entry,
    store_behind,
)
from relevo_server.errors.reason import Reason
from relevo_server.errors.requests import (
    MAX_VIOLATIONS,
    Violation,
    answers_unsent,
    context_too_large,
    invalid,
    page_token_unknown,
    request_id_reused,
    response_too_large,
    role_denied,
    tenant_denied,
    tenants_denied,
    too_many_keys,
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
    "conflict",
    "contention",
    "context_too_large",
    "corrupt_entry",
    "internal",
    "invalid",
    "lease_held",
    "lease_lost",
    "no_entry",
    "page_token_unknown",
    "request_id_reused",
    "response_too_large",
    "role_denied",
    "stopping",
    "store_behind",
    "store_full",
    "tenant_denied",
    "tenants_denied",
    "too_many_keys",
    "too_many_requests",
    "unauthenticated",
    "unavailable",
]
