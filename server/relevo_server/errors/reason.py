"""The machine-readable causes of errors."""

from enum import StrEnum


class Reason(StrEnum):
    """`ErrorReason` of the wire contract, without its prefix: `reason` of google.rpc.ErrorInfo.

    The comments in store.proto say which status each comes with. A test holds the two equal.
    """

    INVALID_FIELD = "INVALID_FIELD"
    REQUEST_ID_REUSED = "REQUEST_ID_REUSED"
    NO_ENTRY = "NO_ENTRY"
    VERSION_MISMATCH = "VERSION_MISMATCH"
    ENTRY_EXISTS = "ENTRY_EXISTS"
    CONTENTION = "CONTENTION"
    LEASE_LOST = "LEASE_LOST"
    STORE_BEHIND = "STORE_BEHIND"
    CONTEXT_TOO_LARGE = "CONTEXT_TOO_LARGE"
    RESPONSE_TOO_LARGE = "RESPONSE_TOO_LARGE"
    TOO_MANY_REQUESTS = "TOO_MANY_REQUESTS"
    STORE_FULL = "STORE_FULL"
    STORE_UNAVAILABLE = "STORE_UNAVAILABLE"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    TENANT_DENIED = "TENANT_DENIED"
    CORRUPT_ENTRY = "CORRUPT_ENTRY"
    NOT_IMPLEMENTED = "NOT_IMPLEMENTED"
    SERVER_STOPPING = "SERVER_STOPPING"
    INTERNAL = "INTERNAL"
    LEASE_HELD = "LEASE_HELD"
    ROLE_DENIED = "ROLE_DENIED"
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
