"""What `bound` and `aio_bound` have in common, and how each refuses what is not of its kind."""

from collections.abc import Generator
from contextlib import contextmanager

from opentelemetry import context as otel

from relevo_client._context.deadline import Deadline
from relevo_client._context.deferred import Current, Deferred
from relevo_client._context.errors import NoContextError, RelevoError
from relevo_client._context.keys import ContextRef
from relevo_client._context.model import ExecutionContext
from relevo_client._propagation.clients import must_be_asyncio, must_be_blocking
from relevo_client._propagation.fallbacks import LostContext, Policy, must_await_nothing
from relevo_client._propagation.refusals import RejectedError
from relevo_client.actions._model import DomainAction
from relevo_client.actions._stamping import W3C


def must_fit(contexts: object, policy: Policy) -> None:
    """Raise TypeError for a client or a policy that `bound` cannot work with."""
    must_be_blocking(contexts, "bound", instead="aio_bound")
    must_await_nothing(policy)


def aio_must_fit(contexts: object, _: Policy) -> None:
    """Raise TypeError for a client that `aio_bound` cannot work with."""
    must_be_asyncio(contexts, "aio_bound", instead="bound")


class ActionRequester:
    """An action that waits for its context."""

    def __init__(self, action: DomainAction, timeout: float | None) -> None:
        self._type = action.action_type
        self.deadline = Deadline.after(timeout)

    def lost_context(self, ref: ContextRef | None, error: RelevoError | None) -> LostContext:
        """What a policy's function is told if the context cannot be had."""
        return LostContext(self._type, ref, (), error)


def cause_of(rejected: RejectedError) -> RelevoError:
    """What is raised for an action that a policy rejects."""
    return rejected.error or NoContextError("the action names no context")


def context_of(current: Current) -> ExecutionContext | None:
    """What a block begins with: nothing if it is deferred, for then it is the user's to ask."""
    return None if current is None or isinstance(current, Deferred) else current.context


@contextmanager
def traced(action: DomainAction) -> Generator[None, None, None]:
    """Make an action's trace context current within a `with` block."""
    before = otel.get_current()
    # A traceparent that cannot be read leaves all as it is.
    within = W3C.extract(action.trace_context, before)
    otel.attach(within)
    try:
        yield
    finally:
        # Not detach, which fails where a generator is ended by another task than it began in.
        if otel.get_current() is within:
            otel.attach(before)
