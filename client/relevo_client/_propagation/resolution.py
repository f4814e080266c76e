"""How calls of a method get their context: the rules, with blocking or asyncio's I/O."""

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from relevo_client._client.aio import AsyncContextClient
from relevo_client._client.blocking import ContextClient
from relevo_client._client.single_flight import AsyncFlights, ThreadFlights
from relevo_client._context.current import AsyncDeferred, BlockingDeferred, Current, Known, Rebuilt
from relevo_client._context.deadline import UNBOUNDED, Deadline
from relevo_client._context.entry import ContextEntry
from relevo_client._context.errors import NoContextError, RelevoError
from relevo_client._context.keys import ContextRef
from relevo_client._propagation.callbacks import own_timeouts
from relevo_client._propagation.fallbacks import Action, LostContext, Policy
from relevo_client._propagation.handlers import AsyncEnter, Enter
from relevo_client._propagation.incoming import Asking, Call, Inbound, LastKnown, Make, instead
from relevo_client._propagation.refusals import RejectedError


class BlockingSource:
    """Where contexts come from on a blocking server: the store, or a policy's function."""

    def __init__(self, client: ContextClient) -> None:
        self._client = client
        self._made = ThreadFlights[object, object]()

    def peek(self, ref: ContextRef) -> ContextEntry | None:
        """The entry that is referred to, where the client has it already."""
        return _peeked(self._client, ref)

    def last_known(self, ref: ContextRef) -> ContextEntry | None:
        """The copy that the client had last."""
        return self._client.last_known(ref)

    def resolve(self, ref: ContextRef, deadline: Deadline) -> ContextEntry:
        """The entry that is referred to. Raises RelevoError."""
        return self._client.resolve(ref, timeout=deadline.remaining())

    def make(self, make: Make, deadline: Deadline) -> Rebuilt:
        """What the function makes. Raises what it raises, and TimeoutError."""

        def function() -> object:
            with own_timeouts(make.function):
                return make.function(make.lost)

        return make.made(self._made.share(make.flight, function, deadline))


class AsyncSource:
    """`BlockingSource` on an event loop."""

    def __init__(self, client: AsyncContextClient) -> None:
        self._client = client
        self._made = AsyncFlights[object, object]()

    def peek(self, ref: ContextRef) -> ContextEntry | None:
        """The entry that is referred to, where the client has it already."""
        return _peeked(self._client, ref)

    def last_known(self, ref: ContextRef) -> ContextEntry | None:
        """The copy that the client had last."""
        return self._client.last_known(ref)

    async def resolve(self, ref: ContextRef, deadline: Deadline) -> ContextEntry:
        """The entry that is referred to. Raises RelevoError."""
        return await self._client.resolve(ref, timeout=deadline.remaining())

    async def make(self, make: Make, deadline: Deadline) -> Rebuilt:
        """What the function makes. Raises what it raises, and TimeoutError."""

        async def function() -> object:
            with own_timeouts(make.function):
                made = make.function(make.lost)
                return await made if inspect.isawaitable(made) else made

        async with asyncio.timeout(deadline.remaining()):
            return make.made(await self._made.share(make.flight, function))


class ThreadSource:
    """An `AsyncSource`, for the threads of its server's."""

    def __init__(self, source: AsyncSource, loop: asyncio.AbstractEventLoop) -> None:
        self._source = source
        self._loop = loop

    def peek(self, _: ContextRef) -> None:
        """Nothing: what the client has is its loop's."""

    def last_known(self, ref: ContextRef) -> ContextEntry | None:
        """The copy that the client had last."""

        async def last_known() -> ContextEntry | None:
            return self._source.last_known(ref)

        return asyncio.run_coroutine_threadsafe(last_known(), self._loop).result()

    def resolve(self, ref: ContextRef, deadline: Deadline) -> ContextEntry:
        """The entry that is referred to. Raises RelevoError."""
        resolving = self._source.resolve(ref, deadline)
        return asyncio.run_coroutine_threadsafe(resolving, self._loop).result()

    def make(self, make: Make, deadline: Deadline) -> Rebuilt:
        """What the function makes. Raises what it raises, and TimeoutError."""
        making = self._source.make(make, deadline)
        return asyncio.run_coroutine_threadsafe(making, self._loop).result()


def _peeked(client: ContextClient | AsyncContextClient, ref: ContextRef) -> ContextEntry | None:
    try:
        return client.peek(ref)
    except RelevoError:  # `resolve` says it again
        return None


def known(
    source: BlockingSource | ThreadSource, policy: Policy, ref: ContextRef | None, asking: Asking
) -> Known:
    """The context that is referred to, or what a policy has instead. Raises RejectedError."""
    error: RelevoError | None = None
    if ref is not None:
        try:
            return source.resolve(ref, asking.deadline.half())
        except RelevoError as caught:
            error = caught
    way = instead(policy, asking.lost(ref, error))
    if isinstance(way, LastKnown):
        return way.known(source.last_known(way.ref))
    return way and _made(source, way, asking)


def _made(source: BlockingSource | ThreadSource, make: Make, asking: Asking) -> Rebuilt:
    try:
        return source.make(make, asking.deadline)
    except Exception as error:  # noqa: BLE001 - the user's function, whatever it raises
        raise make.failed(error) from None


async def aio_known(
    source: AsyncSource, policy: Policy, ref: ContextRef | None, asking: Asking
) -> Known:
    """`known` on an event loop."""
    error: RelevoError | None = None
    if ref is not None:
        try:
            return await source.resolve(ref, asking.deadline.half())
        except RelevoError as caught:
            error = caught
    return await aio_instead(source, policy, asking, asking.lost(ref, error))


async def aio_instead(
    source: AsyncSource, policy: Policy, asking: Asking, lost: LostContext
) -> Known:
    """What a policy goes on with where a context cannot be had. Raises RejectedError."""
    way = instead(policy, lost)
    if isinstance(way, LastKnown):
        return way.known(source.last_known(way.ref))
    if way is None:
        return None
    try:
        return await source.make(way, asking.deadline)
    except Exception as error:  # noqa: BLE001 - the user's function, whatever it raises
        raise way.failed(error) from None


class Entrance:
    """Says what is to be current in a call of a method. Ends the call where it is rejected."""

    def __init__(self, rules: Inbound, method: str, source: BlockingSource | ThreadSource) -> None:
        self._rules = rules
        self._method = method
        self._policy = rules.policy_of(method)
        self._source = source

    def __call__(self, context: Any) -> Current:
        """What is to be current in the call with this servicer context of gRPC's."""
        metadata = context.invocation_metadata()
        try:
            ref = self._rules.reference(context, metadata)
        except RejectedError as rejected:
            context.abort(*rejected.refusal)
            raise
        if ref is None and self._policy.no_reference is Action.PROCEED:
            return None
        if self._policy.lazy:
            call = Call(self._method, context, metadata, _deadline_of(context))
            context.add_callback(call.end)
            return BlockingDeferred(ref, lambda: self._known(ref, call))
        known = self._source.peek(ref) if ref else None
        if known:
            return known
        call = Call(self._method, context, metadata, _deadline_of(context))
        return self._known(ref, call)

    def _known(self, ref: ContextRef | None, call: Call) -> Known:
        try:
            return known(self._source, self._policy, ref, call)
        except RejectedError as rejected:
            if call.is_over:  # and there is nothing left to end
                raise NoContextError(rejected.refusal.text) from None
            call.context.abort(*rejected.refusal)
            raise


class AsyncEntrance:
    """`Entrance` on an event loop."""

    def __init__(self, rules: Inbound, method: str, source: AsyncSource) -> None:
        self._rules = rules
        self._method = method
        self._policy = rules.policy_of(method)
        self._source = source

    def __call__(self, context: Any) -> Current | Coroutine[Any, Any, Current]:
        """What is to be current in the call with this servicer context of gRPC's.

        A coroutine where that has to be waited for.
        """
        metadata = context.invocation_metadata()
        try:
            ref = self._rules.reference(context, metadata)
        except RejectedError as rejected:
            return _rejected(context, rejected)
        if ref is None and self._policy.no_reference is Action.PROCEED:
            return None
        if self._policy.lazy:
            call = Call(self._method, context, metadata, _deadline_of(context))
            context.add_done_callback(call.end)
            return AsyncDeferred(ref, lambda: self._known(ref, call))
        known = self._source.peek(ref) if ref else None
        if known:
            return known
        call = Call(self._method, context, metadata, _deadline_of(context))
        return self._known(ref, call)

    async def _known(self, ref: ContextRef | None, call: Call) -> Known:
        try:
            return await aio_known(self._source, self._policy, ref, call)
        except RejectedError as rejected:
            if call.is_over:  # and there is nothing left to end
                raise NoContextError(rejected.refusal.text) from None
            await call.context.abort(*rejected.refusal)
            raise


def _deadline_of(context: Any) -> Deadline:
    """The deadline of the call with this servicer context of gRPC's.

    Without one, blocking servers say that about 9.2e18 s are left, asyncio servers None.
    """
    seconds: float | None = context.time_remaining()
    return UNBOUNDED if seconds is None or seconds > 1e9 else Deadline.after(seconds)


def entering(make: Callable[[], Enter]) -> Enter:
    """Enters a method by its rules, which are asked until they have answered once.

    The rules have functions of the user's: a call for which one fails is refused.
    """
    made: Enter | None = None

    def enter(context: Any) -> Current:
        nonlocal made
        if made is None:
            try:
                made = make()
            except RejectedError as rejected:
                context.abort(*rejected.refusal)
                raise
        return made(context)

    return enter


def aio_entering(make: Callable[[], AsyncEnter]) -> AsyncEnter:
    """`entering` on an event loop."""
    made: AsyncEnter | None = None

    def enter(context: Any) -> Current | Coroutine[Any, Any, Current]:
        nonlocal made
        if made is None:
            try:
                made = make()
            except RejectedError as rejected:
                return _rejected(context, rejected)
        return made(context)

    return enter


async def _rejected(context: Any, rejected: RejectedError) -> NoReturn:
    await context.abort(*rejected.refusal)
    raise rejected
