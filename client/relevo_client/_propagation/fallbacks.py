"""Policies: the fallbacks that a service chooses for calls whose context cannot be resolved."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import product
from typing import NamedTuple, TypeAlias

from grpc import StatusCode

from relevo_client._context.entry import ContextEntry
from relevo_client._context.errors import (
    IncompleteContextError,
    InvalidFieldError,
    NotFoundError,
    RelevoError,
    StoreBehindError,
    TooLargeError,
    UnavailableError,
)
from relevo_client._context.functions import is_coroutine_function
from relevo_client._context.keys import ContextRef
from relevo_client._context.model import ExecutionContext
from relevo_client._context.reasons import Reason
from relevo_client._context.resolved import Rebuilt
from relevo_client._propagation.callbacks import failure
from relevo_client._propagation.refusals import (
    FAILED,
    MALFORMED,
    NO_REFERENCE,
    Refusal,
    RejectedError,
)


class Fallback(Enum):
    """The fallback for a call whose context cannot be resolved."""

    REJECT = "reject"
    """End the call with a typed status and a fixed text."""
    PROCEED = "proceed"
    """Run the handler without a context."""
    LAST_KNOWN = "last known"
    """Run the handler with the last copy in the client's cache, marked as `is_stale`; reject the
    call if there is none. For `unavailable` and `too_old` only; the client needs a cache."""


@dataclass(frozen=True)
class LostContext:
    """A call, or a queue's action, without its context, as a policy's function gets it."""

    method: str
    """`/package.Service/Method`; the `action_type` of an action."""
    ref: ContextRef | None
    """The call's reference, or None if it has none."""
    metadata: Sequence[tuple[str, str | bytes]]
    """The call's metadata; empty for an action."""
    error: RelevoError | None
    """Why the reference cannot be resolved, or None if there is no reference."""


Rebuild: TypeAlias = Callable[[LostContext], ExecutionContext | Awaitable[ExecutionContext]]
"""A policy's function, which returns a context for a call: a coroutine function on asyncio
servers, a plain function on blocking ones."""


CASES = ("no_reference", "not_found", "incomplete", "too_old", "unavailable")
"""The fields of a Policy that are fallbacks."""


@dataclass(frozen=True)
class Policy:
    """The fallback for each case: a `Fallback`, or a function that returns a context.

    The function is called once for all calls that wait for the same key; a call waits for it
    until its deadline. Its context is current for the call and is not stored. Raises ValueError
    for `Fallback.LAST_KNOWN` in another case than `too_old` and `unavailable`.
    """

    no_reference: Fallback | Rebuild = Fallback.PROCEED
    """The call has no reference. Rejected with FAILED_PRECONDITION."""
    not_found: Fallback | Rebuild = Fallback.REJECT
    """The context does not exist, or no longer. Rejected with FAILED_PRECONDITION."""
    incomplete: Fallback | Rebuild = Fallback.REJECT
    """An entry that the context includes is missing. Rejected with FAILED_PRECONDITION."""
    too_old: Fallback | Rebuild = Fallback.REJECT
    """The store has not reached the reference's revision. Rejected with FAILED_PRECONDITION."""
    unavailable: Fallback | Rebuild = Fallback.REJECT
    """The store is unavailable. Rejected with UNAVAILABLE, or with INTERNAL if the store refuses
    (no access, a defect)."""
    lazy: bool = False
    """Whether to resolve the context when the handler needs it, and not before it runs."""

    def __post_init__(self) -> None:
        for case in ("no_reference", "not_found", "incomplete"):
            if getattr(self, case) is Fallback.LAST_KNOWN:
                raise ValueError(f"{case} must not be LAST_KNOWN: only too_old and unavailable may")


DEFAULT_POLICY = Policy()


_UNAVAILABLE = Refusal(StatusCode.UNAVAILABLE, "the call's context cannot be resolved now")
_BY_ERROR: Sequence[tuple[type[RelevoError], str, Refusal]] = (
    (
        NotFoundError,
        "not_found",
        Refusal(StatusCode.FAILED_PRECONDITION, "the call's context does not exist"),
    ),
    (
        IncompleteContextError,
        "incomplete",
        Refusal(StatusCode.FAILED_PRECONDITION, "the call's context is incomplete"),
    ),
    (
        StoreBehindError,
        "too_old",
        Refusal(StatusCode.FAILED_PRECONDITION, "the call's context is newer than the store"),
    ),
)


def cannot_answer_now(error: Exception) -> bool:
    """Whether a retry may succeed: the store is unavailable, or has too many calls."""
    if isinstance(error, TooLargeError):
        return error.reason == Reason.TOO_MANY_REQUESTS
    return isinstance(error, UnavailableError)


def fallback_and_refusal(
    policy: Policy, error: RelevoError | None
) -> tuple[Fallback | Rebuild, Refusal]:
    """A policy's fallback for a failure, and the status of the call if it is rejected.

    `error` is None for a call without a reference.
    """
    if error is None:
        return policy.no_reference, NO_REFERENCE
    if isinstance(error, InvalidFieldError):
        return Fallback.REJECT, MALFORMED
    for kind, field, refusal in _BY_ERROR:
        if isinstance(error, kind):
            fallback: Fallback | Rebuild = getattr(policy, field)
            return fallback, refusal
    fallback = policy.unavailable
    if cannot_answer_now(error):
        return fallback, _UNAVAILABLE
    # The store refuses (no access, a defect): a retry will not help, and a cached copy must not
    # bypass the refusal.
    return Fallback.REJECT if fallback is Fallback.LAST_KNOWN else fallback, FAILED


class RebuildCall(NamedTuple):
    """The call of a policy's function for a lost context."""

    function: Rebuild
    lost: LostContext
    refusal: Refusal
    """The status of the call if the function exceeds its deadline."""

    @property
    def flight_key(self) -> object:
        """The key of the single flight: calls with equal keys share one function call."""
        # Per function and context key; a call without a reference shares nothing.
        return id(self.function), self.lost.ref.key if self.lost.ref else object()

    def rebuilt(self, context: object) -> Rebuilt:
        """The function's result for this call. Raises TypeError if it is no context."""
        if not isinstance(context, ExecutionContext):
            raise TypeError(f"a policy's function returned {type(context).__name__}, no context")
        return Rebuilt(self.lost.ref, context)

    def rejection(self, error: Exception) -> RejectedError:
        """The error that rejects the call after the function raised, or exceeded the deadline."""
        if isinstance(error, TimeoutError):
            return RejectedError(self.refusal, self.lost.error)
        return failure(self.function, error, self.lost.error)


class LastKnownCopy(NamedTuple):
    """The use of the last cached copy for a call."""

    ref: ContextRef
    refusal: Refusal
    """The status of the call if there is no copy."""
    error: RelevoError | None

    def entry_or_reject(self, entry: ContextEntry | None) -> ContextEntry:
        """The copy. Raises RejectedError if it is None."""
        if entry is None:
            raise RejectedError(self.refusal, self.error)
        return entry


def fallback_for(policy: Policy, lost: LostContext) -> RebuildCall | LastKnownCopy | None:
    """The fallback for a lost context; None to proceed without. Raises RejectedError."""
    fallback, refusal = fallback_and_refusal(policy, lost.error)
    if fallback is Fallback.PROCEED:
        return None
    if fallback is Fallback.LAST_KNOWN and lost.ref:
        return LastKnownCopy(lost.ref, refusal, lost.error)
    if isinstance(fallback, Fallback):
        raise RejectedError(refusal, lost.error)
    return RebuildCall(fallback, lost, refusal)


def must_await_nothing(*policies: Policy) -> None:
    """Raise TypeError, with the case's name, if a policy for threads has a coroutine function."""
    for policy, case in product(policies, CASES):
        if is_coroutine_function(getattr(policy, case)):
            raise TypeError(f"{case} must be a plain function: nothing is awaited in threads")
