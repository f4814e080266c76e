"""Errors as callers receive them: google.rpc.Status with its details."""

from google.protobuf.message import Message
from google.rpc import error_details_pb2
from relevo.v1.store_pb2 import Error

from relevo_server.errors import StoreError

DOMAIN = "relevo"
"""ErrorInfo's domain: who defines the reasons."""


def status_of(error: StoreError) -> Error:
    """The status of an error, with ErrorInfo and, as they apply, BadRequest and RetryInfo.

    The answer is the contract's `Error`, whose bytes are those of google.rpc.Status.
    """
    details: list[Message] = [
        error_details_pb2.ErrorInfo(
            reason=error.reason.value, domain=DOMAIN, metadata=error.metadata
        )
    ]
    if error.violations:
        bad_request = error_details_pb2.BadRequest()
        for field, description in error.violations:
            bad_request.field_violations.add(field=field, description=description)
        details.append(bad_request)
    if error.retry_after is not None:
        retry_info = error_details_pb2.RetryInfo()
        retry_info.retry_delay.FromMilliseconds(round(error.retry_after * 1000))
        details.append(retry_info)
    number, _ = error.code.value
    status = Error(code=number, message=error.message)
    for detail in details:
        status.details.add().Pack(detail)
    return status
