"""An action's context, current for as long as the action is worked on."""

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager

from opentelemetry import context as otel

from relevo_client._client.aio import AsyncContextClient
from relevo_client._client.blocking import ContextClient
from relevo_client._context.current import (
    AsyncDeferred,
    BlockingDeferred,
    Carried,
    Current,
    Deferred,
    Known,
    using,
)
from relevo_client._context.deadline import Deadline
from relevo_client._context.errors import NoContextError, RelevoError
from relevo_client._context.keys import ContextRef
from relevo_client._context.model import ExecutionContext
from relevo_client._propagation.callbacks import must_await_nothing
from relevo_client._propagation.clients import must_be_asyncio, must_be_blocking
from relevo_client._propagation.fallbacks import DEFAULT_POLICY, LostContext, Policy
from relevo_client._propagation.refusals import RejectedError
from relevo_client._propagation.resolution import AsyncSource, BlockingSource, aio_known, known
from relevo_client.actions._model import DomainAction
from relevo_client.actions._stamping import W3C, check_tenant


@contextmanager
def bound(
    action: DomainAction,
    contexts: ContextClient | None,
    *,
    policy: Policy = DEFAULT_POLICY,
    timeout: float | None = None,
) -> Generator[ExecutionContext | None, None, None]:
    """Make an action's context current within a `with` block, and nothing else.

    Within it the action's trace context is current too. After it, all is as it was before.
    An action without a reference has no context, whatever was current outside.

    Args:
        action: what is worked on.
        contexts: asks the store; None if the reference is only passed on.
        policy: what to do if the context cannot be had, as for gRPC calls. If it
            rejects, the RelevoError that says why is raised: NoContextError for
            `no_reference`.
        timeout: seconds for all of it, of which the store has at most half. Without, the
            client's own timeout bounds each call of the store. With a lazy policy it begins
            when the context is asked for.

    Raises InvalidFieldError if the reference is of another tenant than the action.

    """
    check_tenant(action)
    current: Current
    if contexts is None:
        current = Carried(action.context_ref)
    else:
        must_be_blocking(contexts, "bound", instead="aio_bound")
        must_await_nothing(policy)
        source = BlockingSource(contexts)

        def load() -> Known:
            asking = _Asking(action, timeout)
            try:
                return known(source, policy, action.context_ref, asking)
            except RejectedError as rejected:
                raise _cause(rejected) from None

        current = BlockingDeferred(action.context_ref, load) if policy.lazy else load()
    with using(current), _traced(action):
        yield _context_of(current)


@asynccontextmanager
async def aio_bound(
    action: DomainAction,
    contexts: AsyncContextClient | None,
    *,
    policy: Policy = DEFAULT_POLICY,
    timeout: float | None = None,
) -> AsyncGenerator[ExecutionContext | None, None]:
    """`bound` for `async with`."""
    check_tenant(action)
    current: Current
    if contexts is None:
        current = Carried(action.context_ref)
    else:
        must_be_asyncio(contexts, "aio_bound", instead="bound")
        source = AsyncSource(contexts)

        async def load() -> Known:
            asking = _Asking(action, timeout)
            try:
                return await aio_known(source, policy, action.context_ref, asking)
            except RejectedError as rejected:
                raise _cause(rejected) from None

        current = AsyncDeferred(action.context_ref, load) if policy.lazy else await load()
    with using(current), _traced(action):
        yield _context_of(current)


class _Asking:
    """An action that waits for its context."""

    def __init__(self, action: DomainAction, timeout: float | None) -> None:
        self._type = action.action_type
        self.deadline = Deadline.after(timeout)

    def lost(self, ref: ContextRef | None, error: RelevoError | None) -> LostContext:
        """What a policy's function is told if the context cannot be had."""
        return LostContext(self._type, ref, (), error)


def _cause(rejected: RejectedError) -> RelevoError:
    return rejected.error or NoContextError("the action names no context")


def _context_of(current: Current) -> ExecutionContext | None:
    # What is deferred is the user's to ask for.
    return None if current is None or isinstance(current, Deferred) else current.context


@contextmanager
def _traced(action: DomainAction) -> Generator[None, None, None]:
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
