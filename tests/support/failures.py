"""Failed calls, parsed into the parts of an error in the wire contract."""

from collections.abc import Awaitable
from dataclasses import dataclass

import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2
from grpc import StatusCode, aio
from relevo.v1.store_pb2 import Error

_DETAILS = "grpc-status-details-bin"
_CODES = {code.value[0]: code for code in StatusCode}


@dataclass(frozen=True)
class Failure:
    """The error of a failed call. `violations` has paths and texts, `retry_after` seconds."""

    code: StatusCode
    message: str
    reason: str
    domain: str
    metadata: dict[str, str]
    violations: tuple[tuple[str, str], ...]
    retry_after: float | None

    @property
    def fields(self) -> list[str]:
        """The paths of the malformed fields, in the error's order."""
        return [field for field, _ in self.violations]


async def failure_of(call: Awaitable[object]) -> Failure:
    """The failure of a call. Fails the test if the call succeeds, or ends without details."""
    with pytest.raises(aio.AioRpcError) as caught:
        await call
    return failure_of_error(caught.value)


def failure_of_error(error: aio.AioRpcError) -> Failure:
    """The failure that an error describes. Fails the test if it has no details."""
    details = [value for name, value in error.trailing_metadata() if name == _DETAILS]
    assert len(details) == 1, f"no details in {error.code()}: {error.details()}"
    assert isinstance(details[0], bytes)
    failure = failure_in(Error.FromString(details[0]))
    assert (failure.code, failure.message) == (error.code(), error.details())
    return failure


def failure_in(status: Error) -> Failure:
    """The failure that a status describes. Fails the test if a detail's type is unknown."""
    info = error_details_pb2.ErrorInfo()
    bad_request = error_details_pb2.BadRequest()
    retry_info = error_details_pb2.RetryInfo()
    retry_after = None
    for detail in status.details:
        unpacked = [detail.Unpack(each) for each in (info, bad_request, retry_info)]
        assert any(unpacked), f"a detail of type {detail.type_url}"
        if unpacked[2]:
            retry_after = _seconds(retry_info.retry_delay)
    return Failure(
        code=_CODES[status.code],
        message=status.message,
        reason=info.reason,
        domain=info.domain,
        metadata=dict(info.metadata),
        violations=tuple((each.field, each.description) for each in bad_request.field_violations),
        retry_after=retry_after,
    )


def _seconds(duration: Duration) -> float:
    return duration.seconds + duration.nanos / 1e9
