"""The one exception that ends a call with a status of the wire contract."""

from collections.abc import Mapping, Sequence

from grpc import StatusCode

from relevo_server.errors.reason import Reason
from relevo_server.errors.texts import MAX_MESSAGE, cut, shortened

RETRY_DELAY = 0.5
"""Seconds after which a caller may try again if the cause is likely to pass."""


class StoreError(Exception):
    """A call's failure: gRPC's status code, the contract's reason, and the details for the caller.

    Raised by every layer; `wire.statuses` makes it what the caller receives. Neither the message
    nor the details ever hold a context's values.

    `metadata` is what ErrorInfo carries, `violations` are the field paths and descriptions of
    BadRequest, and `retry_after` is RetryInfo's delay in seconds (None: no RetryInfo). Texts that
    are longer than a status has room for are shortened.
    """

    def __init__(
        self,
        code: StatusCode,
        reason: Reason,
        message: str,
        *,
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[tuple[str, str]] = (),
        retry_after: float | None = None,
    ) -> None:
        self.message = shortened(message, MAX_MESSAGE)
        super().__init__(self.message)
        self.code = code
        self.reason = reason
        self.metadata = {name: cut(value) for name, value in (metadata or {}).items()}
        self.violations = tuple(violations)
        self.retry_after = retry_after
