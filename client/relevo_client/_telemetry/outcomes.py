"""`outcome_of`: the names of outcomes in metrics and spans."""

from relevo_client._context.errors import RelevoError
from relevo_client._context.reasons import Reason

OK = "ok"


def outcome_of(error: BaseException | None) -> str:
    """The value of `relevo.outcome`: one of a bounded number, whatever a server sends."""
    if error is None:
        return OK
    if isinstance(error, RelevoError):
        return error.reason.lower() if isinstance(error.reason, Reason) else "other"
    # An exception of the user's own, or a task that was cancelled.
    return "error" if isinstance(error, Exception) else "cancelled"
