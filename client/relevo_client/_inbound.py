"""What a server interceptor does with a call, whatever the call's shape.

The decisions are here, as a generator that asks for I/O and is told its
outcome; who runs it (a blocking server's thread, an asyncio server's task) does
the I/O. Both servers so share every rule.
"""

import logging
import traceback
from collections.abc import Callable, Generator, Sequence
from typing import Any, NamedTuple, TypeAlias

from relevo_client import _metadata
from relevo_client._current import Known
from relevo_client._errors import InvalidFieldError, RelevoError
from relevo_client._keys import ContextRef
from relevo_client._policies import (
    FAILED,
    FORBIDDEN,
    MALFORMED,
    Action,
    LostContext,
    Policy,
    Rebuild,
    Refusal,
    chosen,
)
from relevo_client.filters import MethodFilter

log = logging.getLogger("relevo_client")

Trust: TypeAlias = bool | Callable[[Any], bool]
Authorize: TypeAlias = Callable[[ContextRef, Any], bool]


class RejectedError(Exception):
    """The call is to end now."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.text)
        self.refusal = refusal


class Resolve(NamedTuple):
    """I/O asked for: the entry that `ref` refers to, within `timeout` seconds, if any."""

    ref: ContextRef
    timeout: float | None


class Make(NamedTuple):
    """I/O asked for: the context that a policy's function makes, in the same way."""

    function: Rebuild
    lost: LostContext
    timeout: float | None


Steps: TypeAlias = Generator[Resolve | Make, Known, Known]
"""Yields the I/O that it needs, is sent what that came to, returns the context."""


class Inbound:
    """The rules of one interceptor, as its factory got them."""

    def __init__(
        self,
        *,
        trust_callers: Trust,
        authorize: Authorize | None,
        policy: Policy,
        policies: Sequence[tuple[MethodFilter, Policy]],
        exempt: MethodFilter,
    ) -> None:
        self._trust = trust_callers
        self._authorize = authorize
        self._policy = policy
        self._policies = policies
        self.is_exempt = exempt

    def policy_of(self, method: str) -> Policy:
        """The first policy whose filter applies, else the default."""
        return next((p for applies, p in self._policies if applies(method)), self._policy)

    def reference(self, context: Any) -> ContextRef | None:
        """What a call refers to; None where it names nothing, or is not trusted to.

        `context` is gRPC's servicer context. Raises RejectedError.
        """
        metadata = context.invocation_metadata()
        if not _metadata.names_a_context(metadata):
            return None
        if not self._ask(self._trust, context):
            return None
        try:
            ref = _metadata.decode(metadata)
        except InvalidFieldError:
            raise RejectedError(MALFORMED) from None
        if ref and self._authorize and not self._ask(self._authorize, ref, context):
            raise RejectedError(FORBIDDEN)
        return ref

    def resolving(self, method: str, ref: ContextRef | None, context: Any) -> Steps:
        """The context for a call, step by step. Raises RejectedError."""
        error: RelevoError | None = None
        if ref is not None:
            try:
                # Half of the time: what a policy does instead needs some too.
                seconds = _remaining(context)
                return (yield Resolve(ref, None if seconds is None else seconds / 2))
            except RelevoError as caught:
                error = caught
        action, refusal = chosen(self.policy_of(method), error)
        if action is Action.PROCEED:
            return None
        if isinstance(action, Action):
            raise RejectedError(refusal)
        metadata = tuple((name, value) for name, value in context.invocation_metadata() or ())
        try:
            lost = LostContext(method, ref, metadata, error)
            return (yield Make(action, lost, _remaining(context)))
        except TimeoutError:
            raise RejectedError(refusal) from None
        except Exception as caught:  # noqa: BLE001 - the user's function, whatever it raises
            raise _failed(action, caught) from None

    @staticmethod
    def _ask(answer: Any, *arguments: Any) -> bool:
        """A user's answer. What it raises must not reach the caller."""
        if isinstance(answer, bool):
            return answer
        try:
            return bool(answer(*arguments))
        except Exception as error:  # noqa: BLE001 - the user's function, whatever it raises
            raise _failed(answer, error) from None


def _failed(function: object, error: Exception) -> RejectedError:
    # The type and the place, not the text: that may quote what it stumbled over.
    name = getattr(function, "__qualname__", type(function).__name__)
    frames = traceback.extract_tb(error.__traceback__)
    place = " > ".join(f"{frame.name}:{frame.lineno}" for frame in frames[1:])
    log.error("%s failed on a call's context: %s in %s", name, type(error).__name__, place)
    return RejectedError(FAILED)


def _remaining(context: Any) -> float | None:
    """The seconds that a call has left, None where it has no deadline.

    Without one, blocking servers say about 9.2e18 s, asyncio servers None.
    """
    seconds: float | None = context.time_remaining()
    return None if seconds is None or seconds > 1e9 else seconds
