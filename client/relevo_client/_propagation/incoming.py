"""The rules of a server interceptor: trust, authorization, policies and exemptions.

They do no I/O; `aio_resolution` and `blocking_resolution` apply them in the tasks of an asyncio
server and in the threads of a blocking one.
"""

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any, Literal, Protocol, TypeAlias

from relevo_client._client.reference_keys import ReferenceKeys
from relevo_client._context.deadline import UNBOUNDED, Deadline
from relevo_client._context.errors import InvalidFieldError, RelevoError
from relevo_client._context.fences import FENCES, Fences
from relevo_client._context.keys import ContextRef
from relevo_client._propagation.answers import ServedFences
from relevo_client._propagation.callbacks import evaluate, must_be_plain
from relevo_client._propagation.fallbacks import LostContext, Policy
from relevo_client._propagation.metadata import Pairs, decode, names_a_context
from relevo_client._propagation.refusals import FORBIDDEN, MALFORMED, RejectedError
from relevo_client._telemetry.counts import COUNTS
from relevo_client.filters import MethodFilter

Trust: TypeAlias = bool | Literal["signed"] | Callable[[Any], bool]
Authorize: TypeAlias = Callable[[ContextRef, Any], bool]


_received: ContextVar[Pairs | None] = ContextVar("relevo_received", default=None)

set_received: Callable[[Pairs | None], object] = _received.set
"""Keep the metadata of an asyncio server's call for its handler."""
get_received: Callable[[], Pairs | None] = _received.get
"""The metadata that was kept for the call; None if there is none, as in any thread.

gRPC's asyncio servers make the tuple of entries anew each time that `invocation_metadata` is
called, and have already made one for the interceptors."""


class Requester(Protocol):
    """A call, an HTTP request or a queue's action that needs its context."""

    @property
    def deadline(self) -> Deadline:
        """The deadline for the context. The store has half of it: a policy needs time, too."""
        ...

    @property
    def rider(self) -> bytes | None:
        """The rider that came with the reference; None if none came, or if it is of no use."""
        ...

    def lost_context(self, ref: ContextRef | None, error: RelevoError | None) -> LostContext:
        """The argument of a policy's function if the context cannot be resolved."""
        ...


class Call:
    """A call of a handler. `context` is gRPC's servicer context.

    `rider` came with the reference, and was not looked at yet.
    """

    def __init__(
        self,
        method: str,
        context: Any,
        metadata: Pairs | None,
        deadline: Deadline,
        rider: bytes | None = None,
    ) -> None:
        self.method = method
        self.context = context
        self.rider = rider
        # Read at the start of the call: after its end, gRPC would read freed memory.
        self._metadata = metadata
        self._deadline = deadline
        self.is_over = False
        """Whether the call has ended, if `end` is its callback: it then has no deadline and no
        status."""

    def end(self, *_: object) -> None:
        """Mark the call as ended."""
        self.is_over = True

    @property
    def deadline(self) -> Deadline:
        """The call's deadline; none for work that outlives the call."""
        return UNBOUNDED if self.is_over else self._deadline

    def lost_context(self, ref: ContextRef | None, error: RelevoError | None) -> LostContext:
        """The argument of a policy's function if the context cannot be resolved."""
        metadata = tuple((name, value) for name, value in self._metadata or ())
        return LostContext(self.method, ref, metadata, error)


def deadline_of(context: Any) -> Deadline:
    """The deadline of the call with this servicer context.

    For a call without a deadline, gRPC's blocking servers return about 9.2e18 s of remaining
    time, and asyncio servers None.
    """
    seconds: float | None = context.time_remaining()
    return UNBOUNDED if seconds is None or seconds > 1e9 else Deadline.after(seconds)


class Inbound:
    """The rules of one server interceptor, which are the arguments of its factory.

    `keys` are those of the client. Raises TypeError if one of the functions is a coroutine
    function, and ValueError for a trust that has no keys.
    """

    def __init__(
        self,
        *,
        trust_callers: Trust,
        authorize: Authorize | None,
        policy: Policy,
        policies: Sequence[tuple[MethodFilter, Policy]],
        exempt: MethodFilter,
        keys: ReferenceKeys | None,
    ) -> None:
        must_be_plain(trust_callers=trust_callers, authorize=authorize, exempt=exempt)
        self._keys = keys_for(trust_callers, keys)
        for applies, _ in policies:
            must_be_plain(policies=applies)
        self._trust = trust_callers
        self._authorize = authorize
        self._policy = policy
        self._policies = policies
        self._exempt = exempt
        self._has_checks = trust_callers is not True or authorize is not None

    @property
    def trusts_callers(self) -> bool:
        """Whether callers whose references are used are trusted beyond what these name."""
        return self._keys is None

    def policy_of(self, method: str) -> Policy | None:
        """A method's policy: the first whose filter matches, else the default; None if exempt.

        Raises RejectedError if a filter fails.
        """
        if evaluate(self._exempt, method):
            return None
        return next((p for applies, p in self._policies if evaluate(applies, method)), self._policy)

    def reference(self, context: Any, metadata: Pairs | None) -> ContextRef | None:
        """A call's reference; None if it has none, or its caller is not trusted.

        `context` is gRPC's servicer context, `metadata` the call's. Raises RejectedError if
        the reference is malformed or not authorized, or if a function fails.
        """
        try:
            ref = self._checked(context, metadata) if self._has_checks else decode(metadata)
        except InvalidFieldError:
            COUNTS.received_refused += 1
            raise RejectedError(MALFORMED) from None
        except RejectedError:
            COUNTS.received_refused += 1
            raise
        if ref is not None:
            COUNTS.received += 1
        return ref

    def begin(self, ref: ContextRef | None, context: Any) -> None:
        """Begin a call with its reference: nothing of another call is heard in it.

        Its answer takes newer revisions back, but to trusted callers only: a signature proves the
        reference, and not who sends it.
        """
        FENCES.set(Fences(ref) if ref is None or self._keys else ServedFences(ref, context))

    def _checked(self, context: Any, metadata: Pairs | None) -> ContextRef | None:
        if self._trust is not True and self._keys is None:
            # The trust function is called only for calls that carry a reference.
            if not names_a_context(metadata):
                return None
            if not evaluate(self._trust, context):
                COUNTS.received_ignored += 1
                return None
        ref = decode(metadata)
        if ref and self._keys and not self._keys.verify(ref):
            raise RejectedError(FORBIDDEN)
        if ref and self._authorize and not evaluate(self._authorize, ref, context):
            raise RejectedError(FORBIDDEN)
        return ref


def keys_for(trust_callers: object, keys: ReferenceKeys | None) -> ReferenceKeys | None:
    """The keys with which references have to be signed; None if they need no signature.

    Raises ValueError for another text than "signed", and if the client has no keys.
    """
    if not isinstance(trust_callers, str):
        return None
    if trust_callers != "signed":
        raise ValueError('trust_callers must be a bool, "signed", or a function')
    if keys is None:
        raise ValueError('trust_callers="signed" needs a client with reference_keys')
    return keys


def keys_of(client: object) -> ReferenceKeys | None:
    """The keys of a client; None if it has none. Tests have clients of their own."""
    keys: ReferenceKeys | None = getattr(client, "reference_keys", None)
    return keys
