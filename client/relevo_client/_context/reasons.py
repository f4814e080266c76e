"""Why something failed: the names that programs decide by."""

from enum import StrEnum


class Reason(StrEnum):
    """Why something failed, as `RelevoError.reason` has it.

    Each is a string too. A server that is newer than this client may give reasons that are not
    here: those stay plain strings, so compare with `==`, and have an `else`.
    """

    # relevo.v1.ErrorReason, which says when a server gives them.
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

    # gRPC's codes, for calls that failed without a reason: nobody answered, or a proxy did.
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

    # Of this client alone.
    NO_CONTEXT = "NO_CONTEXT"
    """No context is current in this call."""
    CONTEXT_NOT_RESOLVED = "CONTEXT_NOT_RESOLVED"
    """The server's policy is lazy, and the handler has not awaited `await_context()` yet."""
    CONTEXT_WITHOUT_ENTRY = "CONTEXT_WITHOUT_ENTRY"
    """The current context was made by a policy's function, or by a test: it has no entry."""
    INCOMPLETE_CONTEXT = "INCOMPLETE_CONTEXT"
    """The context includes entries that do not exist."""
    CLIENT_CLOSED = "CLIENT_CLOSED"
    """The client was closed before the call, or during it."""
    CLIENT_FORKED = "CLIENT_FORKED"
    """The client belongs to the process that this one was forked from."""
    QUEUE_LOST = "QUEUE_LOST"
    """Redis has lost what a queue held."""

    # Of actions that were delivered and not done: dead letters, replies and the log have them.
    HANDLER_FAILED = "HANDLER_FAILED"
    """The action's handler raised."""
    TOO_MANY_DELIVERIES = "TOO_MANY_DELIVERIES"
    """Handlers have begun with the action as often as they may, and none has come to an end."""
    NOT_DONE = "NOT_DONE"
    """A handler has begun with the action and has not come to an end."""
    NOT_BEGUN = "NOT_BEGUN"
    """No handler could begin with the action."""
    NOT_HELD = "NOT_HELD"
    """Another consumer has taken the action over."""


_KNOWN = {reason.value: reason for reason in Reason}


def reason_of(name: str) -> Reason | str:
    """The reason of this name; the name itself if this client does not know it."""
    return _KNOWN.get(name, name)
