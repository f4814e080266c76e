"""Every error of the wire contract, as the server makes it."""

from grpc import StatusCode
from relevo_server import errors
from relevo_server.errors import Reason, StoreError
from relevo_server.keys import Key
from relevo_server.quotas import Quota

KEY = Key("conversation", "acme", "c 1")


def of_key(key: Key) -> tuple[StoreError, ...]:
    """Every error that names a key."""
    return (
        errors.request_id_reused(key),
        errors.no_entry(key),
        errors.conflict(key, expected=4, current=7),
        errors.conflict(key, expected=0, current=7),
        errors.contention(key),
        errors.lease_lost(key),
        errors.lease_held(key, 2.5),
        errors.store_behind(key, revision=3),
        errors.corrupt_entry(key),
    )


EVERY_ERROR: tuple[StoreError, ...] = (
    *of_key(KEY),
    errors.invalid([("key.scope", "must not be empty"), ("ttl", "must be more than 0 s")]),
    errors.invalid((f"context.llm_config.a[{i}]", "must be a finite number") for i in range(500)),
    errors.schema_broken("agent_config", ("context.llm_config.model", "must be given"), ()),
    errors.context_too_large(262_145, 262_144),
    errors.response_too_large(3_145_728),
    errors.too_many_requests(4096),
    errors.quota_exceeded(Quota.CALLS, 64, tenant_id="acme"),
    errors.quota_exceeded(Quota.PRINCIPAL_BYTES, 64 << 20, principal="orchestrator"),
    errors.answers_unsent(16 << 20),
    errors.store_full(),
    errors.unavailable(),
    errors.unauthenticated(),
    errors.tenant_denied("acme"),
    errors.tenants_denied(),
    errors.role_denied("admin"),
    StoreError(StatusCode.UNIMPLEMENTED, Reason.NOT_IMPLEMENTED, "not yet"),
    StoreError(
        StatusCode.UNAVAILABLE,
        Reason.SERVER_STOPPING,
        "the server is stopping",
        retry_after=1.5,
    ),
    errors.internal(),
)
