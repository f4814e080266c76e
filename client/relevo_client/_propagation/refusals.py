"""The statuses of calls that end for want of a context that they can work with."""

from typing import NamedTuple, TypeVar, cast

from grpc import StatusCode

from relevo_client._context.errors import InvalidSectionError, NoContextError, RelevoError

NEEDS_CONTEXT = (NoContextError, InvalidSectionError, ExceptionGroup)
"""The exceptions of a handler that needs a context and has none, or not one that it can work with:
alone, or from a TaskGroup."""
_Error = TypeVar("_Error", bound=Exception)


class Refusal(NamedTuple):
    """The status of a rejected call. The texts are fixed: they reveal no internals."""

    code: StatusCode
    text: str


MALFORMED = Refusal(StatusCode.INVALID_ARGUMENT, "the call's context reference is malformed")
FORBIDDEN = Refusal(StatusCode.PERMISSION_DENIED, "the caller may not use this context")
FAILED = Refusal(StatusCode.INTERNAL, "the call's context could not be resolved")
NO_REFERENCE = Refusal(StatusCode.FAILED_PRECONDITION, "the call names no context")
INVALID_SECTION = Refusal(
    StatusCode.FAILED_PRECONDITION, "the call's context has an invalid section"
)


class RejectedError(Exception):
    """Ends a call with a refusal. `error` is why its context cannot be resolved, if that is why."""

    def __init__(self, refusal: Refusal, error: RelevoError | None = None) -> None:
        super().__init__(refusal.text)
        self.refusal = refusal
        self.error = error


def needs_context(error: Exception) -> NoContextError | None:
    """The NoContextError that a handler raised; None if it raised anything else, too."""
    return sole_cause(NoContextError, error)


def sole_cause(kind: type[_Error], error: Exception) -> _Error | None:
    """The error itself, or the first one of a group; None unless all are of the kind."""
    if isinstance(error, kind):
        return error
    parts = _parts(error)
    found = [part for part in parts if isinstance(part, kind)]
    return found[0] if found and len(found) == len(parts) else None


def _parts(error: Exception) -> list[Exception]:
    """The exceptions of a group, and of the groups in it."""
    if not isinstance(error, ExceptionGroup):
        return [error]
    group = cast("ExceptionGroup[Exception]", error)
    return [part for each in group.exceptions for part in _parts(each)]
