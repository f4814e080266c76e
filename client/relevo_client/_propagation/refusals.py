"""How a call ends that cannot have its context, before its handler begins or amid it."""

from typing import Any, NamedTuple, cast

from grpc import StatusCode

from relevo_client._context.errors import NoContextError, RelevoError
from relevo_client._context.functions import name_of
from relevo_client._context.log import log
from relevo_client._context.raised import shown
from relevo_client._context.reasons import Reason

NEEDS_CONTEXT = (NoContextError, ExceptionGroup)
"""What a handler may raise that needs a context: alone, or out of a TaskGroup of its tasks."""


class Refusal(NamedTuple):
    """How a call ends. The texts are fixed: they tell no internals."""

    code: StatusCode
    text: str


MALFORMED = Refusal(StatusCode.INVALID_ARGUMENT, "the call's context reference is malformed")
FORBIDDEN = Refusal(StatusCode.PERMISSION_DENIED, "the caller may not use this context")
FAILED = Refusal(StatusCode.INTERNAL, "the call's context could not be resolved")
NO_REFERENCE = Refusal(StatusCode.FAILED_PRECONDITION, "the call names no context")


class RejectedError(Exception):
    """Ends the call. `error` is the failure to get its context, None if something else failed."""

    def __init__(self, refusal: Refusal, error: RelevoError | None = None) -> None:
        super().__init__(refusal.text)
        self.refusal = refusal
        self.error = error


def needs_context(error: Exception) -> NoContextError | None:
    """The NoContextError that a handler has raised; None if it has raised anything else too."""
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
    """How a call ends whose handler has raised this; None if that is no matter of contexts.

    A handler that needs a context and has none refuses its call. One that asks before a lazy
    context is resolved, or for the entry of a context that has none, has a defect, which is
    logged.
    """
    needs = needs_context(error)
    if needs is None:
        return None
    if needs.reason == Reason.NO_CONTEXT:
        return NO_REFERENCE
    log.error("%s: %s: %s", name_of(handler), needs, shown(needs, handler))
    return FAILED


def end(context: Any, error: Exception, handler: object) -> None:
    """End the call whose handler has raised this, if it is for want of a context. In a thread."""
    refusal = refusal_of(error, handler)
    if refusal:
        context.abort(*refusal)


async def aio_end(context: Any, error: Exception, handler: object) -> None:
    """`end` on an event loop."""
    refusal = refusal_of(error, handler)
    if refusal:
        await context.abort(*refusal)
