"""What a server interceptor does with a call, whatever the call's shape.

The decisions are here, without I/O; `aio_resolution` and `blocking_resolution` have what
an asyncio server's task and a blocking server's thread do by them.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

from relevo_client._context.deadline import UNBOUNDED, Deadline
from relevo_client._context.errors import InvalidFieldError, RelevoError
from relevo_client._context.keys import ContextRef
from relevo_client._propagation.callbacks import evaluate, must_be_plain
from relevo_client._propagation.fallbacks import LostContext, Policy
from relevo_client._propagation.metadata import Pairs, decode, names_a_context
from relevo_client._propagation.refusals import FORBIDDEN, MALFORMED, RejectedError
from relevo_client.filters import MethodFilter

Trust: TypeAlias = bool | Callable[[Any], bool]
Authorize: TypeAlias = Callable[[ContextRef, Any], bool]


class Requester(Protocol):
    """What asks for a context: a call, or a message of a queue."""

    @property
    def deadline(self) -> Deadline:
        """Until when it can wait; for the store only half as long: a policy needs some time too."""
        ...

    def lost_context(self, ref: ContextRef | None, error: RelevoError | None) -> LostContext:
        """What a policy's function is told where the context cannot be had."""
        ...


class Call:
    """A call of a handler. `context` is gRPC's servicer context, the rest what came with it."""

    def __init__(
        self, method: str, context: Any, metadata: Pairs | None, deadline: Deadline
    ) -> None:
        self.method = method
        self.context = context
        # Read while the call was new: of one that has ended, gRPC reads memory that it freed.
        self._metadata = metadata
        self._deadline = deadline
        self.is_over = False
        """Whether it has ended, where `end` is told so: then it has no budget and no status."""

    def end(self, *_: object) -> None:
        """Say that it has ended."""
        self.is_over = True

    @property
    def deadline(self) -> Deadline:
        """Until when it can wait. Work that outlives the call is not bound to the call's time."""
        return UNBOUNDED if self.is_over else self._deadline

    def lost_context(self, ref: ContextRef | None, error: RelevoError | None) -> LostContext:
        """What a policy's function is told where the context cannot be had."""
        metadata = tuple((name, value) for name, value in self._metadata or ())
        return LostContext(self.method, ref, metadata, error)


def deadline_of(context: Any) -> Deadline:
    """The deadline of the call with this servicer context of gRPC's.

    Without one, blocking servers say that about 9.2e18 s are left, asyncio servers None.
    """
    seconds: float | None = context.time_remaining()
    return UNBOUNDED if seconds is None or seconds > 1e9 else Deadline.after(seconds)


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
        must_be_plain(trust_callers=trust_callers, authorize=authorize, exempt=exempt)
        for applies, _ in policies:
            must_be_plain(policies=applies)
        self._trust = trust_callers
        self._authorize = authorize
        self._policy = policy
        self._policies = policies
        self._exempt = exempt

    def is_exempt(self, method: str) -> bool:
        """Whether a method has no part in this. Raises RejectedError."""
        return evaluate(self._exempt, method)

    def policy_of(self, method: str) -> Policy:
        """The first policy whose filter applies, else the default. Raises RejectedError."""
        return next((p for applies, p in self._policies if evaluate(applies, method)), self._policy)

    def reference(self, context: Any, metadata: Pairs | None) -> ContextRef | None:
        """What a call refers to; None where it names nothing, or is not trusted to.

        `context` is gRPC's servicer context, `metadata` what came with the call. Raises
        RejectedError.
        """
        # A function is asked only about calls that name a context.
        if self._trust is not True and not (
            names_a_context(metadata) and evaluate(self._trust, context)
        ):
            return None
        try:
            ref = decode(metadata)
        except InvalidFieldError:
            raise RejectedError(MALFORMED) from None
        if ref and self._authorize and not evaluate(self._authorize, ref, context):
            raise RejectedError(FORBIDDEN)
        return ref
