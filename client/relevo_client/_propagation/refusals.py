"""The statuses of calls that end for want of a context, before or in their handler."""

from typing import Any, NamedTuple, cast

from grpc import StatusCode

from relevo_client._context.errors import NoContextError, RelevoError
from relevo_client._context.functions import name_of
from relevo_client._context.log import log
from relevo_client._context.raised import class_and_place
from relevo_client._context.reasons import Reason

NEEDS_CONTEXT = (NoContextError, ExceptionGroup)
"""The exceptions of a handler that needs a context and has none: alone, or from a TaskGroup."""


class Refusal(NamedTuple):
    """The status of a rejected call. The texts are fixed: they reveal no internals."""

    code: StatusCode
    text: str


MALFORMED = Refusal(StatusCode.INVALID_ARGUMENT, "the call's context reference is malformed")
FORBIDDEN = Refusal(StatusCode.PERMISSION_DENIED, "the caller may not use this context")
FAILED = Refusal(StatusCode.INTERNAL, "the call's context could not be resolved")
NO_REFERENCE = Refusal(StatusCode.FAILED_PRECONDITION, "the call names no context")


class RejectedError(Exception):
    """Ends a call with a refusal. `error` is why its context cannot be resolved, if that is why."""

    def __init__(self, refusal: Refusal, error: RelevoError | None = None) -> None:
        super().__init__(refusal.text)
        self.refusal = refusal
        self.error = error


def needs_context(error: Exception) -> NoContextError | None:
    """The NoContextError that a handler raised; None if it raised anything else, too."""
    if isinstance(error, NoContextError):
        return error
    parts = _parts(error)
    needs = [part for part in parts if isinstance(part, NoContextError)]
    return needs[0] if needs and len(needs) == len(parts) else None


def _parts(error: Exception) -> list[Exception]:
    """The exceptions of a group, and of the groups in it."""
    if not isinstance(error, ExceptionGroup):
        return [error]
    group = cast("ExceptionGroup[Exception]", error)
    return [part for each in group.exceptions for part in _parts(each)]


def refusal_of(error: Exception, handler: object) -> Refusal | None:
    """The refusal of a call whose handler raised `error`; None if contexts are not the cause.

    A handler that needs a context and has none refuses its call. A handler that uses a lazy
    context before it is resolved, or the entry of a context without one, has a defect, which
    is logged.
    """
    needs = needs_context(error)
    if needs is None:
        return None
    if needs.reason == Reason.NO_CONTEXT:
        return NO_REFERENCE
    log.error("%s: %s: %s", name_of(handler), needs, class_and_place(needs, handler))
    return FAILED


def end(context: Any, error: Exception, handler: object) -> None:
    """End a call in a thread if its handler raised `error` for want of a context."""
    refusal = refusal_of(error, handler)
    if refusal:
        context.abort(*refusal)


async def aio_end(context: Any, error: Exception, handler: object) -> None:
    """End a call on an event loop if its handler raised `error` for want of a context."""
    refusal = refusal_of(error, handler)
    if refusal:
        await context.abort(*refusal)
