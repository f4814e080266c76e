"""`Reason`: the causes of errors, as names that programs compare with."""

from enum import StrEnum


class Reason(StrEnum):
    """The cause of an error: the value of `RelevoError.reason`.

    Each reason is a str too. A server that is newer than this client may send a reason that is
    not defined here; it stays a plain str. So compare with `==`, and have an `else`.
    """

    # The names of relevo.v1.ErrorReason, whose comments say when a server sends each.
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
    SCHEMA_VIOLATION = "SCHEMA_VIOLATION"

    # gRPC's codes, for calls that failed without a reason: no server answered, or a proxy did.
    CANCELLED = "CANCELLED"
    UNKNOWN = "UNKNOWN"
    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    ABORTED = "ABORTED"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    UNIMPLEMENTED = "UNIMPLEMENTED"
    UNAVAILABLE = "UNAVAILABLE"
    DATA_LOSS = "DATA_LOSS"

    # Reasons of this client alone.
    NO_CONTEXT = "NO_CONTEXT"
    """No context is current in this call."""
    CONTEXT_NOT_RESOLVED = "CONTEXT_NOT_RESOLVED"
    """The server's policy is lazy, and the handler has not awaited `await_context()` yet."""
    CONTEXT_WITHOUT_ENTRY = "CONTEXT_WITHOUT_ENTRY"
    """The current context has no entry: a policy's function or a test has made it."""
    INCOMPLETE_CONTEXT = "INCOMPLETE_CONTEXT"
    """The context includes entries that do not exist."""
    INVALID_SECTION = "INVALID_SECTION"
    """A section of the context does not fit the model that the code asks for."""
    CLIENT_CLOSED = "CLIENT_CLOSED"
    """The client was closed before the call, or during it."""
    CLIENT_FORKED = "CLIENT_FORKED"
    """The client cannot be used in this forked process: it belongs to the parent."""
    TOKEN_UNAVAILABLE = "TOKEN_UNAVAILABLE"  # noqa: S105 - no token
    """The client's token cannot be read: its function raises, or its file is gone."""
    QUEUE_LOST = "QUEUE_LOST"
    """Redis has lost the content of a queue."""
    FORBIDDEN = "FORBIDDEN"
    """The service's own `authorize` refuses the context of an action."""
    CALLBACK_DENIED = "CALLBACK_DENIED"
    """An action's `callback_queue` is none that replies may go to."""

    # Reasons for which an action was delivered and not done, in dead letters, replies and logs.
    HANDLER_FAILED = "HANDLER_FAILED"
    """The action's handler raised an exception."""
    TOO_MANY_DELIVERIES = "TOO_MANY_DELIVERIES"
    """The action's handler was started as often as is allowed, and never finished."""
    NOT_DONE = "NOT_DONE"
    """The action's handler was started and has not finished."""
    NOT_BEGUN = "NOT_BEGUN"
    """The action's handler could not be started."""
    NOT_HELD = "NOT_HELD"
    """Another consumer has taken the action over."""


_BY_NAME = {reason.value: reason for reason in Reason}


def reason_of(name: str) -> Reason | str:
    """The `Reason` with this name, or the name itself if this client does not define it."""
    return _BY_NAME.get(name, name)
