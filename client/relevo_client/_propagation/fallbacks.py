"""What happens to a call whose context cannot be had: its owner's choice."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, TypeAlias

from grpc import StatusCode

from relevo_client._context.errors import (
    IncompleteContextError,
    InvalidFieldError,
    NotFoundError,
    RelevoError,
    StoreBehindError,
    UnavailableError,
)
from relevo_client._context.keys import ContextRef
from relevo_client._context.model import ExecutionContext


class Action(Enum):
    """What to do with such a call."""

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
    """What to do in each case: an `Action`, or a function that makes a context.

    Such a function is called once for all calls that wait for the same key, and
    is given up at a call's deadline. What it makes is current for the call and
    is not stored.
    """

    no_reference: Action | Rebuild = Action.PROCEED
    """The call names no context. Rejected with FAILED_PRECONDITION."""
    not_found: Action | Rebuild = Action.REJECT
    """There is no such context any more: FAILED_PRECONDITION."""
    incomplete: Action | Rebuild = Action.REJECT
    """Entries that the context includes do not exist: FAILED_PRECONDITION."""
    too_old: Action | Rebuild = Action.REJECT
    """The store is behind what the caller has seen: FAILED_PRECONDITION."""
    unavailable: Action | Rebuild = Action.REJECT
    """The store cannot be asked now: UNAVAILABLE."""
    lazy: bool = False
    """Resolve the context when the handler asks for it, not before it runs."""

    def __post_init__(self) -> None:
        for case in ("no_reference", "not_found", "incomplete"):
            if getattr(self, case) is Action.LAST_KNOWN:
                raise ValueError(f"{case} is what is known: there is no last known copy for it")


DEFAULT_POLICY = Policy()


class Refusal(NamedTuple):
    """How a call ends. The texts are fixed: they tell no internals."""

    code: StatusCode
    text: str


MALFORMED = Refusal(StatusCode.INVALID_ARGUMENT, "the call's context reference is malformed")
FORBIDDEN = Refusal(StatusCode.PERMISSION_DENIED, "the caller may not use this context")
FAILED = Refusal(StatusCode.INTERNAL, "the call's context could not be resolved")
NO_REFERENCE = Refusal(StatusCode.FAILED_PRECONDITION, "the call names no context")
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


def chosen(policy: Policy, error: RelevoError | None) -> tuple[Action | Rebuild, Refusal]:
    """What a policy says for a failure, None for a call without a reference.

    The refusal is how the call ends where it says to reject.
    """
    if error is None:
        return policy.no_reference, NO_REFERENCE
    if isinstance(error, InvalidFieldError):
        return Action.REJECT, MALFORMED
    for kind, field, refusal in _BY_ERROR:
        if isinstance(error, kind):
            action: Action | Rebuild = getattr(policy, field)
            return action, refusal
    action = policy.unavailable
    if isinstance(error, UnavailableError):
        return action, _UNAVAILABLE
    # Whatever else the store answers (no access, a defect), the context cannot be had
    # now; but trying again is no advice then, and a copy is not what to answer it with.
    return Action.REJECT if action is Action.LAST_KNOWN else action, FAILED
