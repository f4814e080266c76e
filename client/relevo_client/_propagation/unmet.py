"""Ends calls whose handlers cannot work with the context that they have."""

from typing import Any

from relevo_client._context.current import has_context
from relevo_client._context.errors import InvalidSectionError
from relevo_client._context.functions import name_of
from relevo_client._context.log import log
from relevo_client._context.raised import class_and_place
from relevo_client._context.reasons import Reason
from relevo_client._propagation.faults import log_invalid
from relevo_client._propagation.refusals import (
    FAILED,
    INVALID_SECTION,
    NO_REFERENCE,
    Refusal,
    needs_context,
    sole_cause,
)


def refusal_of(error: Exception, handler: object) -> Refusal | None:
    """The refusal of a call whose handler raised `error`; None if contexts are not the cause.

    A handler that needs a context and has none refuses its call. A handler that uses a lazy
    context before it is resolved, or the entry of a context without one, or asks for its call's
    context in a thread that does not have it, has a defect, which is logged. So is a section that
    does not fit the handler's model.
    """
    invalid = sole_cause(InvalidSectionError, error)
    if invalid:
        log_invalid(name_of(handler), invalid)
        return INVALID_SECTION
    needs = needs_context(error)
    if needs is None:
        return None
    problem = str(needs)
    if needs.reason == Reason.NO_CONTEXT:
        if not has_context():
            return NO_REFERENCE
        problem = "the call has a context, but not where it was needed: threads need `wrap`"
    log.error("%s: %s: %s", name_of(handler), problem, class_and_place(needs, handler))
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
