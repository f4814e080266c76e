"""The one exception that ends a call with a status of the wire contract."""

import random
from collections.abc import Mapping, Sequence

from grpc import StatusCode

from relevo_server.errors.reason import Reason
from relevo_server.errors.texts import MAX_MESSAGE, cut, shortened

RETRY_DELAY = 0.5
"""Seconds after which a caller may try again if the cause is likely to pass."""
_SPREAD = 0.5
_RANDOM = random.SystemRandom()
"""Without a state of its own: `random.seed` of a program with a server in it concerns no server."""


def spread(seconds: float, share: float | None = None) -> float:
    """A delay that is longer, by half at most: by a share of that from 0 to 1, or by chance.

    So callers who were refused together do not come again together, which others would notice.
    """
    return seconds * (1 + _SPREAD * (_RANDOM.random() if share is None else share))


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
