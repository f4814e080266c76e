"""The common parts of `bound` and `aio_bound`, and their checks of clients and policies."""

from collections.abc import Generator
from contextlib import contextmanager

from opentelemetry import context as otel
from opentelemetry.trace import SpanKind

from relevo_client._context.deadline import Deadline
from relevo_client._context.deferred import Current, Deferred
from relevo_client._context.errors import NoContextError, RelevoError
from relevo_client._context.keys import ContextRef
from relevo_client._context.model import ExecutionContext
from relevo_client._propagation.clients import must_be_asyncio, must_be_blocking
from relevo_client._propagation.fallbacks import LostContext, Policy, must_await_nothing
from relevo_client._propagation.refusals import RejectedError
from relevo_client._telemetry.spans import W3C
from relevo_client.actions._model import DomainAction
from relevo_client.actions._tracing import messaging


def must_fit(contexts: object, policy: Policy) -> None:
    """Raise TypeError for an asyncio client, or a policy with coroutine functions."""
    must_be_blocking(contexts, "bound", instead="aio_bound")
    must_await_nothing(policy)


def aio_must_fit(contexts: object, _: Policy) -> None:
    """Raise TypeError for a blocking client."""
    must_be_asyncio(contexts, "aio_bound", instead="bound")


class ActionRequester:
    """An action that needs its context. `timeout` is in seconds, None for no limit."""

    def __init__(self, action: DomainAction, timeout: float | None) -> None:
        self._type = action.action_type
        self.rider = action.context_rider or None
        self.deadline = Deadline.after(timeout)

    def lost_context(self, ref: ContextRef | None, error: RelevoError | None) -> LostContext:
        """The argument of a policy's function if the context cannot be resolved."""
        return LostContext(self._type, ref, (), error)


def cause_of(rejected: RejectedError) -> RelevoError:
    """The error to raise for an action that a policy rejects."""
    return rejected.error or NoContextError("the action names no context")


def context_of(current: Current) -> ExecutionContext | None:
    """The value of a block: its context; None if there is none, or if it is lazy."""
    return None if current is None or isinstance(current, Deferred) else current.context


@contextmanager
def traced(action: DomainAction, queue: str | None) -> Generator[None, None, None]:
    """Make an action's trace context current within a `with` block, in a consumer's span."""
    before = otel.get_current()
    # A malformed traceparent leaves the trace context as it is.
    within = W3C.extract(action.trace_context, before)
    otel.attach(within)
    try:
        with messaging("process", SpanKind.CONSUMER, action, queue):
            yield
    finally:
        # Not `detach`, which fails if another task ends the generator.
        if otel.get_current() is within:
            otel.attach(before)
