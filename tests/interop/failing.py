"""A server that fails with every reason of the contract, from one method."""

from collections.abc import Callable, Mapping, Sequence

from grpc import StatusCode
from relevo_server import errors
from relevo_server.errors import Reason, StoreError
from relevo_server.keys import Key
from relevo_server.quotas import Quota
from relevo_server.server import Server
from relevo_server.settings import Settings
from relevo_server.storage import open_storage
from relevo_server.storage.interface import Limits, Read

TENANT = "interop"
VIOLATIONS = [("key.id", "first"), ("context.llm_config.a", "second: größe")]

_FAILURES: Mapping[str, Callable[[Key], StoreError]] = {
    "INVALID_FIELD": lambda _: errors.invalid(VIOLATIONS),
    "SCHEMA_VIOLATION": lambda key: errors.schema_broken(key.scope, VIOLATIONS[1], ()),
    "REQUEST_ID_REUSED": errors.request_id_reused,
    "NO_ENTRY": errors.no_entry,
    "VERSION_MISMATCH": lambda key: errors.conflict(key, 1, (1 << 63) - 1),
    "ENTRY_EXISTS": lambda key: errors.conflict(key, 0, 1),
    "CONTENTION": errors.contention,
    "LEASE_LOST": errors.lease_lost,
    "LEASE_HELD": lambda key: errors.lease_held(key, 12.345),
    "STORE_BEHIND": lambda key: errors.store_behind(key, (1 << 60) + 1),
    "CONTEXT_TOO_LARGE": lambda _: errors.context_too_large((256 << 10) + 1, 256 << 10),
    "RESPONSE_TOO_LARGE": lambda _: errors.response_too_large(3 << 20),
    "TOO_MANY_REQUESTS": lambda _: errors.too_many_requests(1),
    "QUOTA_EXCEEDED": lambda key: errors.quota_exceeded(
        Quota.WRITES, 50, tenant_id=key.tenant_id, retry_after=1.25
    ),
    "STORE_FULL": lambda _: errors.store_full(),
    "STORE_UNAVAILABLE": lambda _: errors.unavailable(),
    "SERVER_STOPPING": lambda _: errors.stopping(),
    "UNAUTHENTICATED": lambda _: errors.unauthenticated(),
    "TENANT_DENIED": lambda key: errors.tenant_denied(key.tenant_id),
    "ROLE_DENIED": lambda _: errors.role_denied("admin"),
    "CORRUPT_ENTRY": errors.corrupt_entry,
    "NOT_IMPLEMENTED": lambda _: StoreError(
        StatusCode.UNIMPLEMENTED, Reason.NOT_IMPLEMENTED, "not implemented"
    ),
    "INTERNAL": lambda _: errors.internal(),
}


def failing_server() -> Server:
    """A server, to be used with `async with`: a Get fails with the reason in the key's id."""
    storage = open_storage("memory://", partitions=1)

    async def read(
        keys: Sequence[Key], known_versions: Sequence[int] = (), limits: Limits | None = None
    ) -> Read:
        del known_versions, limits
        raise _FAILURES[keys[0].id](keys[0])

    storage.read = read  # type: ignore[method-assign]
    return Server(Settings(listen="127.0.0.1:0", grace=0.1), storage)
