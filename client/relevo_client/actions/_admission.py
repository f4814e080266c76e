"""The admission of actions: the references and the reply queues that are allowed."""

import re
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import TypeAlias

from relevo_client._context.errors import AccessDeniedError, RelevoError
from relevo_client._context.keys import ContextRef
from relevo_client._context.reasons import Reason
from relevo_client._propagation.callbacks import evaluate, must_be_plain
from relevo_client._propagation.refusals import FAILED, FORBIDDEN, RejectedError
from relevo_client._telemetry.counts import COUNTS
from relevo_client.actions._model import DomainAction
from relevo_client.actions._stamping import check_tenant, with_tenant

AuthorizeAction: TypeAlias = Callable[[ContextRef, DomainAction], bool]
"""A user's function of an action's reference and the action."""

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_BRACES = frozenset("{}")
CALLBACK_DENIED = "replies may not go to the action's callback_queue"
"""The text of an action whose `callback_queue` is not allowed."""


class Admission:
    """The rules of a consumer for the actions that reach it, which do no I/O.

    `authorize` and `reply_queues` are those of `aio_bound`. Raises TypeError if `authorize` is a
    coroutine function.
    """

    def __init__(
        self, authorize: AuthorizeAction | None, reply_queues: Sequence[str] | None
    ) -> None:
        must_be_plain(authorize=authorize)
        if isinstance(reply_queues, str):
            raise TypeError("reply_queues must be a list of patterns, and is a string")
        self._authorize = authorize
        self._patterns = reply_queues

    def accept(self, action: DomainAction) -> None:
        """Count an action's reference, or refuse the action.

        Raises InvalidFieldError if the reference is of another tenant than the action,
        AccessDeniedError for a reference or a `callback_queue` that is not allowed, and a
        RelevoError (INTERNAL) if `authorize` fails.
        """
        try:
            self._check(action)
        except RelevoError:
            COUNTS.received_refused += action.context_ref is not None
            raise
        COUNTS.received += action.context_ref is not None

    def may_reply_to(self, queue: str) -> bool:
        """Whether replies may go to a queue; "" is none."""
        if not queue:
            return False
        if self._patterns is None:
            return _PLAIN_NAME.fullmatch(queue) is not None
        return any(_matches(queue, pattern) for pattern in self._patterns)

    def _check(self, action: DomainAction) -> None:
        check_tenant(action)
        if action.callback_queue and not self.may_reply_to(action.callback_queue):
            raise AccessDeniedError(CALLBACK_DENIED, reason=Reason.CALLBACK_DENIED)
        ref = action.context_ref
        if ref is None or self._authorize is None:
            return
        try:
            is_allowed = evaluate(self._authorize, ref, with_tenant(action))
        except RejectedError:  # logged with its class and place
            raise RelevoError(FAILED.text, reason=Reason.INTERNAL) from None
        if not is_allowed:
            raise AccessDeniedError(FORBIDDEN.text, reason=Reason.FORBIDDEN)


def _matches(queue: str, pattern: str) -> bool:
    # A store's own keys have braces (`{relevo:17}:log`): no wildcard stands for one.
    has_braces = not _BRACES.isdisjoint(queue)
    return fnmatchcase(queue, pattern) and (not has_braces or not _BRACES.isdisjoint(pattern))
