"""What happens to a call whose context cannot be had: its owner's choice."""

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
    """What to do with a call whose context cannot be had."""

    REJECT = "reject"
    """End it with a typed status and a fixed text."""
    PROCEED = "proceed"
    """Go on without a context."""
    LAST_KNOWN = "last known"
    """Go on with the copy that the client's cache had last, marked as `is_stale`; where it
    has none, reject. For `unavailable` and `too_old`; the client needs a cache."""


@dataclass(frozen=True)
class LostContext:
    """A call whose context cannot be had, or a queue's action, for a function that makes one."""

    method: str
    """`/package.Service/Method`; the `action_type` of an action."""
    ref: ContextRef | None
    """What the call refers to; None where it names no context."""
    metadata: Sequence[tuple[str, str | bytes]]
    """The call's metadata; nothing for an action."""
    error: RelevoError | None
    """Why it cannot be had; None where the call names no context."""


Rebuild: TypeAlias = Callable[[LostContext], ExecutionContext | Awaitable[ExecutionContext]]
"""Makes a context for a call: a coroutine function on asyncio servers, a plain
function on blocking ones."""


CASES = ("no_reference", "not_found", "incomplete", "too_old", "unavailable")
"""The fields of a Policy that say what to do."""


@dataclass(frozen=True)
class Policy:
    """What to do in each case: a `Fallback`, or a function that makes a context.

    Such a function is called once for all calls that wait for the same key, and
    is given up at a call's deadline. What it makes is current for the call and
    is not stored.
    """

    no_reference: Fallback | Rebuild = Fallback.PROCEED
    """The call names no context. Rejected with FAILED_PRECONDITION."""
    not_found: Fallback | Rebuild = Fallback.REJECT
    """There is no such context any more: FAILED_PRECONDITION."""
    incomplete: Fallback | Rebuild = Fallback.REJECT
    """Entries that the context includes do not exist: FAILED_PRECONDITION."""
    too_old: Fallback | Rebuild = Fallback.REJECT
    """The store is behind what the caller has seen: FAILED_PRECONDITION."""
    unavailable: Fallback | Rebuild = Fallback.REJECT
    """The store cannot answer now: UNAVAILABLE. If it refuses (no access, a defect): INTERNAL."""
    lazy: bool = False
    """Resolve the context when the handler asks for it, not before it runs."""

    def __post_init__(self) -> None:
        for case in ("no_reference", "not_found", "incomplete"):
            if getattr(self, case) is Fallback.LAST_KNOWN:
                raise ValueError(f"{case} is what is known: there is no last known copy for it")


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
    """Whether the store may answer the same request later: it is away, or has too many calls."""
    if isinstance(error, TooLargeError):
        return error.reason == Reason.TOO_MANY_REQUESTS
    return isinstance(error, UnavailableError)


def fallback_and_refusal(
    policy: Policy, error: RelevoError | None
) -> tuple[Fallback | Rebuild, Refusal]:
    """What a policy says for a failure, None for a call without a reference.

    The refusal is how the call ends where it says to reject.
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
    # Whatever else the store answers (no access, a defect), the context cannot be had
    # now; but trying again is no advice then, and a copy is not what to answer it with.
    return Fallback.REJECT if fallback is Fallback.LAST_KNOWN else fallback, FAILED


class RebuildCall(NamedTuple):
    """A call's context is to be made by a policy's function."""

    function: Rebuild
    lost: LostContext
    refusal: Refusal
    """How the call ends where the function does not do it in time."""

    @property
    def flight_key(self) -> object:
        """What calls have in common that can share what is made."""
        # A call without a reference shares nothing; each function makes its own.
        return id(self.function), self.lost.ref.key if self.lost.ref else object()

    def rebuilt(self, context: object) -> Rebuilt:
        """The context that was made, for this call. Raises TypeError where it is none."""
        if not isinstance(context, ExecutionContext):
            raise TypeError(f"a policy's function made {type(context).__name__}, no context")
        return Rebuilt(self.lost.ref, context)

    def rejection(self, error: Exception) -> RejectedError:
        """How the call ends where the function raised, or took too long."""
        if isinstance(error, TimeoutError):
            return RejectedError(self.refusal, self.lost.error)
        return failure(self.function, error, self.lost.error)


class LastKnownCopy(NamedTuple):
    """A call is to go on with the copy that was known last."""

    ref: ContextRef
    refusal: Refusal
    """How the call ends where there is none."""
    error: RelevoError | None

    def entry_or_reject(self, entry: ContextEntry | None) -> ContextEntry:
        """The copy. Raises RejectedError where there is none."""
        if entry is None:
            raise RejectedError(self.refusal, self.error)
        return entry


def fallback_for(policy: Policy, lost: LostContext) -> RebuildCall | LastKnownCopy | None:
    """What is done where a context cannot be had: made, known still, or gone without.

    Raises RejectedError.
    """
    fallback, refusal = fallback_and_refusal(policy, lost.error)
    if fallback is Fallback.PROCEED:
        return None
    if fallback is Fallback.LAST_KNOWN and lost.ref:
        return LastKnownCopy(lost.ref, refusal, lost.error)
    if isinstance(fallback, Fallback):
        raise RejectedError(refusal, lost.error)
    return RebuildCall(fallback, lost, refusal)


def must_await_nothing(*policies: Policy) -> None:
    """Raise TypeError for a policy that makes contexts by a coroutine function, for threads."""
    for policy, case in product(policies, CASES):
        if is_coroutine_function(getattr(policy, case)):
            raise TypeError(f"{case} must be a plain function: nothing is awaited in threads")
