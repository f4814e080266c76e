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
    cannot_answer_now,
)
from relevo_client._context.functions import is_coroutine_function
from relevo_client._context.hiding import hides
from relevo_client._context.keys import ContextRef
from relevo_client._context.model import ExecutionContext
from relevo_client._context.resolved import Rebuilt
from relevo_client._context.sources import ContextSource
from relevo_client._propagation.callbacks import failure
from relevo_client._propagation.refusals import (
    FAILED,
    MALFORMED,
    NO_REFERENCE,
    Refusal,
    RejectedError,
)
from relevo_client._telemetry.counts import COUNTS
from relevo_client._telemetry.outcomes import OK


class Fallback(Enum):
    """The fallback for a call whose context cannot be resolved."""

    REJECT = "reject"
    """End the call with a typed status and a fixed text."""
    PROCEED = "proceed"
    """Run the handler without a context."""
    LAST_KNOWN = "last known"
    """Run the handler with the last copy in the client's cache, marked as `is_stale`; reject the
    call if there is none. For `unavailable` and `too_old` only; the client needs a cache."""


_NAMES = {fallback: fallback.name.lower() for fallback in Fallback}
_REBUILD = "rebuild"
"""The name in metrics of a context from a policy's function; fallbacks have names of their own."""
PROCEEDS = "no_reference", _NAMES[Fallback.PROCEED]
"""The count of most calls that carry no reference."""


@hides("metadata")
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


class Choice(NamedTuple):
    """The choice of a policy for a lost context."""

    case: str
    """The policy's field; `malformed` if the store refuses the reference, which no policy can
    change."""
    fallback: Fallback | Rebuild
    refusal: Refusal
    """The status of the call if it is rejected."""

    def took(self, done: Fallback | None) -> None:
        """Count what was done for the call; None for a context of the policy's function."""
        COUNTS.fallbacks[self.case, _REBUILD if done is None else _NAMES[done]] += 1

    def rejection(self, error: RelevoError | None) -> RejectedError:
        """The error that rejects the call, which is counted."""
        self.took(Fallback.REJECT)
        return RejectedError(self.refusal, error)


def choice_of(policy: Policy, error: RelevoError | None) -> Choice:
    """A policy's choice for a failure.

    `error` is None for a call without a reference.
    """
    if error is None:
        return Choice("no_reference", policy.no_reference, NO_REFERENCE)
    if isinstance(error, InvalidFieldError):
        return Choice("malformed", Fallback.REJECT, MALFORMED)
    for kind, field, refusal in _BY_ERROR:
        if isinstance(error, kind):
            return Choice(field, getattr(policy, field), refusal)
    fallback = policy.unavailable
    if cannot_answer_now(error):
        return Choice("unavailable", fallback, _UNAVAILABLE)
    # The store refuses (no access, a defect): a retry will not help, and a cached copy must not
    # bypass the refusal.
    fallback = Fallback.REJECT if fallback is Fallback.LAST_KNOWN else fallback
    return Choice("unavailable", fallback, FAILED)


class RebuildCall(NamedTuple):
    """The call of a policy's function for a lost context."""

    function: Rebuild
    lost: LostContext
    choice: Choice
    """The policy's choice; its refusal is for a function that exceeds its deadline."""

    @property
    def flight_key(self) -> object:
        """The key of the single flight: calls with equal keys share one function call."""
        # Per function and context key; a call without a reference shares nothing.
        return id(self.function), self.lost.ref.key if self.lost.ref else object()

    def rebuilt(self, context: object) -> Rebuilt:
        """The function's result for this call. Raises TypeError if it is no context."""
        if not isinstance(context, ExecutionContext):
            raise TypeError(f"a policy's function returned {type(context).__name__}, no context")
        self.choice.took(None)
        COUNTS.resolutions[ContextSource.FALLBACK.value, OK] += 1
        return Rebuilt(self.lost.ref, context)

    def rejection(self, error: Exception) -> RejectedError:
        """The error that rejects the call after the function raised, or exceeded the deadline."""
        if isinstance(error, TimeoutError):
            return self.choice.rejection(self.lost.error)
        self.choice.took(Fallback.REJECT)
        return failure(self.function, error, self.lost.error)


class LastKnownCopy(NamedTuple):
    """The use of the last cached copy for a call."""

    ref: ContextRef
    choice: Choice
    """The policy's choice; its refusal is for a call for which there is no copy."""
    error: RelevoError | None

    def entry_or_reject(self, entry: ContextEntry | None) -> ContextEntry:
        """The copy. Raises RejectedError if it is None."""
        if entry is None:
            raise self.choice.rejection(self.error)
        self.choice.took(Fallback.LAST_KNOWN)
        COUNTS.resolutions[ContextSource.LAST_KNOWN.value, OK] += 1
        return entry


def fallback_for(policy: Policy, lost: LostContext) -> RebuildCall | LastKnownCopy | None:
    """The fallback for a lost context; None to proceed without. Raises RejectedError."""
    choice = choice_of(policy, lost.error)
    fallback = choice.fallback
    if fallback is Fallback.PROCEED:
        choice.took(Fallback.PROCEED)
        return None
    if fallback is Fallback.LAST_KNOWN and lost.ref:
        return LastKnownCopy(lost.ref, choice, lost.error)
    if isinstance(fallback, Fallback):
        raise choice.rejection(lost.error)
    return RebuildCall(fallback, lost, choice)


def must_await_nothing(*policies: Policy) -> None:
    """Raise TypeError, with the case's name, if a policy for threads has a coroutine function."""
    for policy, case in product(policies, CASES):
        if is_coroutine_function(getattr(policy, case)):
            raise TypeError(f"{case} must be a plain function: nothing is awaited in threads")
