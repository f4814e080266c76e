"""`aio_bound`: makes an action's context current while the action is handled."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from relevo_client._client.aio import AsyncContextClient
from relevo_client._context.current import using
from relevo_client._context.deferred import AsyncDeferred, Current, ForwardedRef
from relevo_client._context.fences import Fences
from relevo_client._context.model import ExecutionContext
from relevo_client._context.resolved import Resolved
from relevo_client._propagation.aio_resolution import AsyncClientSource, aio_resolve_with_policy
from relevo_client._propagation.fallbacks import DEFAULT_POLICY, Policy
from relevo_client._propagation.refusals import RejectedError
from relevo_client.actions._admission import Admission, AuthorizeAction
from relevo_client.actions._binding import (
    ActionRequester,
    aio_must_fit,
    cause_of,
    context_of,
    traced,
)
from relevo_client.actions._model import DomainAction


@asynccontextmanager
async def aio_bound(
    action: DomainAction,
    contexts: AsyncContextClient | None,
    *,
    policy: Policy = DEFAULT_POLICY,
    timeout: float | None = None,
    queue: str | None = None,
    authorize: AuthorizeAction | None = None,
    reply_queues: Sequence[str] | None = None,
) -> AsyncGenerator[ExecutionContext | None, None]:
    """Make an action's context current within an `async with` block, and no other context.

    The block's value is the context; None if there is none, or if it is lazy or only passed on.
    The action's trace context is current in the block, too, in a span of its own if spans are
    recorded. Afterwards both are as before. An action without a reference has no context,
    whatever was current outside of the block.

    Args:
        action: the action to handle.
        contexts: the client that resolves the reference; None to only pass the reference on.
        policy: the fallbacks if the context cannot be resolved, as for gRPC calls. If a
            fallback rejects, the RelevoError that is the cause is raised: NoContextError for
            `no_reference`.
        timeout: seconds for the resolution, of which the store has at most half. By default
            only the client's own timeout limits each call of the store. With a lazy policy it
            begins when the context is needed.
        queue: the queue's name, for the span in which the block runs.
        authorize: a plain function of the reference and the action; if it returns False,
            AccessDeniedError (FORBIDDEN) is raised before the store is asked. None authorizes
            every reference. An action that names no tenant has that of its reference here.
        reply_queues: patterns of the queues that a `callback_queue` may name (`execution.*`).
            A wildcard stands for no brace. None allows plain names: letters, digits, `_` and
            `-`, in parts that are joined by dots. AccessDeniedError (CALLBACK_DENIED) is raised
            for any other queue.

    Raises InvalidFieldError if the reference is of another tenant than the action, and TypeError
    for a blocking client.

    """
    Admission(authorize, reply_queues).accept(action)
    ref = action.context_ref
    fences = Fences(ref)
    if contexts is None:
        with traced(action, queue), using(ForwardedRef(ref, action.context_rider), fences):
            yield None
        return
    aio_must_fit(contexts, policy)
    source = AsyncClientSource(contexts)

    async def load() -> Resolved:
        requester = ActionRequester(action, timeout)
        try:
            return await aio_resolve_with_policy(source, policy, ref, requester)
        except RejectedError as rejected:
            raise cause_of(rejected) from None

    with traced(action, queue), using(None, fences):
        current: Current = (
            AsyncDeferred(ref, load, action.context_rider) if policy.lazy else await load()
        )
        with using(current, fences):
            yield context_of(current)
