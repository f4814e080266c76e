"""Conversion of the statuses of failed calls to exceptions."""

from contextlib import suppress
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2
from relevo.v1.store_pb2 import Error

from relevo_client._context.errors import (
    RETRY_DELAY,
    AccessDeniedError,
    ConflictError,
    InvalidFieldError,
    LeaseHeldError,
    LeaseLostError,
    NotFoundError,
    RelevoError,
    StoreBehindError,
    TooLargeError,
    UnavailableError,
)
from relevo_client._context.reasons import Reason
from relevo_client._store.connection_errors import explained

DOMAIN = "relevo"
_DETAILS = "grpc-status-details-bin"

_BY_CODE: dict[grpc.StatusCode, type[RelevoError]] = {
    grpc.StatusCode.NOT_FOUND: NotFoundError,
    grpc.StatusCode.ABORTED: ConflictError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: TooLargeError,
    grpc.StatusCode.UNAUTHENTICATED: AccessDeniedError,
    grpc.StatusCode.PERMISSION_DENIED: AccessDeniedError,
    grpc.StatusCode.UNAVAILABLE: UnavailableError,
    # Cancelled by the server: calls that their callers cancel never come here.
    grpc.StatusCode.CANCELLED: UnavailableError,
}
_BY_REASON: dict[str, type[RelevoError]] = {
    Reason.STORE_BEHIND: StoreBehindError,
    Reason.LEASE_LOST: LeaseLostError,
    Reason.LEASE_HELD: LeaseHeldError,
}
_CODES = {code.value[0]: code for code in grpc.StatusCode}


def status_of(error: grpc.RpcError) -> grpc.StatusCode:
    """The status of a failed call, blocking or asyncio."""
    call: Any = error
    code: grpc.StatusCode = call.code()
    return code


def error_of_call(error: grpc.RpcError) -> RelevoError:
    """The exception for a failed call, blocking or asyncio."""
    call: Any = error
    code = status_of(error)
    for name, value in call.trailing_metadata() or ():
        if name == _DETAILS:
            with suppress(DecodeError):  # not a Status: the code suffices
                status = Error.FromString(value)
                if status.code == code.value[0]:
                    return error_of_status(status)
    return error_of_status(Error(code=code.value[0], message=explained(call.details() or "")))


def error_of_status(status: Error) -> RelevoError:
    """The exception for a status with the error details of the wire contract."""
    code = _CODES.get(status.code, grpc.StatusCode.UNKNOWN)
    info = error_details_pb2.ErrorInfo()
    bad_request = error_details_pb2.BadRequest()
    retry_info = error_details_pb2.RetryInfo()
    for detail in status.details:
        for message in (info, bad_request, retry_info):
            detail.Unpack(message)
    if info.domain != DOMAIN:
        info.Clear()
    reason = info.reason or code.name
    metadata = dict(info.metadata)
    if code is grpc.StatusCode.INVALID_ARGUMENT:
        violations = [(v.field, v.description) for v in bad_request.field_violations]
        return InvalidFieldError(
            violations or [("request", status.message)], reason=reason, metadata=metadata
        )
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return UnavailableError(
            "the store did not answer in time", reason=reason, retry_after=RETRY_DELAY
        )
    kind = _BY_REASON.get(reason) or _BY_CODE.get(code, RelevoError)
    retry_after = retry_info.retry_delay.ToTimedelta().total_seconds() or None
    if kind is UnavailableError and retry_after is None:
        retry_after = RETRY_DELAY
    return kind(status.message, reason=reason, metadata=metadata, retry_after=retry_after)
