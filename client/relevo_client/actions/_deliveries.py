"""Handles an action that a queue delivered, and classifies its failures, without the queue."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from typing import TypeAlias

from pydantic import ValidationError

from relevo_client._client.aio import AsyncContextClient
from relevo_client._context.errors import (
    IncompleteContextError,
    InvalidFieldError,
    NoContextError,
    NotFoundError,
    RelevoError,
    cannot_answer_now,
)
from relevo_client._context.log import log
from relevo_client._context.raised import class_and_place
from relevo_client._context.reasons import Reason
from relevo_client._propagation.refusals import needs_context
from relevo_client._telemetry.outcomes import outcome_of
from relevo_client._telemetry.spans import mark_failed
from relevo_client.actions._model import DomainAction, invalid_field_error
from relevo_client.actions._stamping import with_tenant

Result: TypeAlias = "Mapping[str, object] | DomainAction | None"
Handler: TypeAlias = Callable[[DomainAction], Awaitable[Result]]
Begin: TypeAlias = Callable[[], Awaitable[None]]
Bind: TypeAlias = Callable[
    [DomainAction, AsyncContextClient | None], AbstractAsyncContextManager[object]
]

_PERMANENT_ERRORS = (InvalidFieldError, NotFoundError, IncompleteContextError, NoContextError)
"""The errors of an action's context that no redelivery changes."""
_REFUSALS = (Reason.FORBIDDEN, Reason.CALLBACK_DENIED)
"""Why a consumer refuses an action, before anything is asked. The texts are fixed."""


@dataclass(frozen=True)
class Failure:
    """Why an action was not done. Contains none of its values."""

    reason: Reason | str
    """A name for programs."""
    text: str
    """A fixed text for the sender."""
    detail: str
    """A text for the log."""
    is_final: bool
    """Whether a redelivery would fail again."""
    is_of_context: bool = False
    """Whether the action's context cannot be resolved."""


@dataclass(frozen=True)
class Delivery:
    """One delivery of a queue's entry to a consumer."""

    queue: str
    entry: str
    """The id of the stream's entry."""
    number: int
    """The delivery's number, from 1. Deliveries without the begin of a handler do not count."""
    limit: int
    """The number of the last delivery."""
    action: DomainAction | None = None
    """The entry's action, or None if it is malformed."""

    def log_outcome(self, level: int, outcome: str, failure: Failure) -> None:
        """Log what became of the delivery, in one line without the action's values."""
        log.log(
            level,
            "action %s (%s, entry %s) of %s, delivery %d of %d: %s, %s: %s",
            *(ascii_of(self.action.action_id) if self.action else "?",),
            *(ascii_of(self.action.action_type) if self.action else "?",),
            *(self.entry, ascii_of(self.queue), self.number, self.limit),
            *(outcome, failure.reason, failure.detail),
        )


TOO_OFTEN = Failure(
    Reason.TOO_MANY_DELIVERIES,
    "the action was tried too often",
    "whoever had it did not come to an end",
    is_final=True,
)

NOT_DONE = Failure(
    Reason.NOT_DONE,
    "the action was not done at once",
    "it failed, or whoever had it did not come to an end",
    is_final=False,
)

NOT_BEGUN = Failure(
    Reason.NOT_BEGUN,
    "the action was not begun at once",
    "its context could not be had, or whoever had it did not begin",
    is_final=False,
)

NOT_HELD = Failure(
    Reason.NOT_HELD,
    "the action was not done in time here",
    "it was taken over, as this process stood still or had no Redis",
    is_final=False,
)


def read(body: bytes) -> DomainAction | Failure:
    """The action in a message's JSON, or why it is malformed."""
    try:
        action = DomainAction.model_validate_json(body)
    except ValidationError as error:
        return _malformed(invalid_field_error(error))
    if "action_id" not in action.model_fields_set:
        # A generated id would differ in each delivery.
        return _malformed(InvalidFieldError([("action_id", "must be there")]))
    if action.callback_queue and not action.callback_action_type:
        return _malformed(InvalidFieldError([("callback_action_type", "must be there")]))
    return with_tenant(action)


async def work(
    action: DomainAction,
    handler: Handler,
    send: Callable[[DomainAction, str], Awaitable[None]],
    contexts: AsyncContextClient | None,
    bind: Bind,
    begin: Begin,
) -> Failure | None:
    """Handle an action with its context current, and send the result. None, or the failure.

    `bind` is `aio_bound` with the rules of the queue.

    `begin` counts the delivery, immediately before the handler runs, so that a handler that
    kills its process is counted. A delivery that fails because the store is unavailable is not
    counted. Any other failure to resolve the context is, so that an action that causes the
    failure is not redelivered forever.

    An action that reports a failure and has no reference is handled without a context, whatever
    the policy: it is how a sender learns that its context cannot be resolved.
    """
    if action.error and action.context_ref is None:
        contexts = None
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(bind(action, contexts))
        except RelevoError as error:
            if not cannot_answer_now(error):
                await begin()
            return _without_context(error)
        await begin()
        try:
            result = await handler(action)
            reply = result if isinstance(result, DomainAction) else _reply(action, result)
            if reply and action.callback_queue:
                await send(reply, action.callback_queue)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task and task.cancelling():
                raise
            # The handler awaited something that was cancelled; its consumer was not.
            return _failed(error)
        except Exception as error:  # noqa: BLE001 - the user's function, whatever it raises
            needs = needs_context(error)
            if needs and needs.reason == Reason.NO_CONTEXT and action.context_ref is None:
                return _without_context(needs)
            return _failed(error)
    return None


def _failed(error: BaseException) -> Failure:
    mark_failed(outcome_of(error))
    text = "the action's handler failed"
    return Failure(Reason.HANDLER_FAILED, text, class_and_place(error), is_final=False)


def _reply(action: DomainAction, result: object) -> DomainAction | None:
    if result is None:
        return None
    if not isinstance(result, Mapping):
        raise TypeError("a handler returns a mapping, a DomainAction or None")
    return action.reply(result) if action.callback_queue else None  # pyright: ignore[reportUnknownArgumentType]


def _without_context(error: RelevoError) -> Failure:
    if isinstance(error, InvalidFieldError):
        return _malformed(error)
    detail = type(error).__name__
    if error.reason in _REFUSALS:
        is_of_context = error.reason == Reason.FORBIDDEN
        return Failure(error.reason, str(error), detail, is_final=True, is_of_context=is_of_context)
    if isinstance(error, IncompleteContextError):
        detail = f"{detail}, there is no {', '.join(error.missing)}"
    if isinstance(error, _PERMANENT_ERRORS):
        text = "the action's context does not exist, or not all of it"
        if isinstance(error, NoContextError):
            text = "the action names no context"
        return Failure(error.reason, text, detail, is_final=True, is_of_context=True)
    text = "the action's context cannot be resolved now"
    return Failure(error.reason, text, detail, is_final=False, is_of_context=True)


def _malformed(error: InvalidFieldError) -> Failure:
    # The field only, without the path in it: names in a payload may be a user's data, too.
    fields = sorted({field.partition(".")[0].partition("[")[0] for field, _ in error.violations})
    return Failure(
        Reason.INVALID_FIELD,
        "the action is malformed",
        ascii_of(", ".join(fields)),
        is_final=True,
        is_of_context="context_ref" in fields,
    )


def ascii_of(text: str) -> str:
    """An untrusted text as one line of ASCII, for logs and headers."""
    return text.encode("unicode_escape").decode("ascii")
