"""Errors that are no fault of a request: the store or the server cannot do it now."""

from grpc import StatusCode

from relevo_server.errors.base import RETRY_DELAY, StoreError
from relevo_server.errors.reason import Reason


def store_full() -> StoreError:
    """RESOURCE_EXHAUSTED: the store refuses writes because its memory is full.

    Nothing was written. The client can repeat the call after the RetryInfo's delay: entries
    expire; the operator has to give the store more memory.
    """
    return StoreError(
        StatusCode.RESOURCE_EXHAUSTED,
        Reason.STORE_FULL,
        "the store has no memory for another entry",
        retry_after=RETRY_DELAY,
    )


def unavailable(text: str = "the store cannot be reached") -> StoreError:
    """UNAVAILABLE: the store did not answer, or not in time.

    A write may have happened. The client can repeat a read, and a write that has a `request_id`,
    after the RetryInfo's delay.
    """
    return StoreError(
        StatusCode.UNAVAILABLE,
        Reason.STORE_UNAVAILABLE,
        text,
        retry_after=RETRY_DELAY,
    )


def stopping() -> StoreError:
    """UNAVAILABLE: this server takes no calls any more.

    Nothing was done. The client can repeat the call at once on another server.
    """
    return StoreError(
        StatusCode.UNAVAILABLE,
        Reason.SERVER_STOPPING,
        "the server is stopping",
        retry_after=RETRY_DELAY,
    )


def not_encrypted() -> StoreError:
    """UNIMPLEMENTED: the method is about encryption, and this server has no `encryption`.

    The operator has to ask another server, or to set it.
    """
    return StoreError(
        StatusCode.UNIMPLEMENTED, Reason.NOT_IMPLEMENTED, "this server does not encrypt"
    )


def internal() -> StoreError:
    """INTERNAL: a defect of the server.

    The cause goes to the server's log and not to the caller. The client can only report it.
    """
    return StoreError(StatusCode.INTERNAL, Reason.INTERNAL, "a defect of the server; see its log")
