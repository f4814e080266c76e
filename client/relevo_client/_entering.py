"""How calls of a method get their context: the rules, run with blocking or asyncio's I/O."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from relevo_client._current import AsyncDeferred, BlockingDeferred, Current, Known
from relevo_client._errors import NoContextError
from relevo_client._inbound import Call, Inbound, Make, RejectedError, Resolve, resolving
from relevo_client._keys import ContextRef
from relevo_client._policies import Action

Perform: TypeAlias = Callable[[Resolve | Make], Known]
AsyncPerform: TypeAlias = Callable[[Resolve | Make], Awaitable[Known]]


class Entrance:
    """Says what is to be current in a call of a method. Ends the call where it is rejected."""

    def __init__(self, rules: Inbound, method: str, perform: Perform) -> None:
        self._rules = rules
        self._method = method
        self._policy = rules.policy_of(method)
        self._perform = perform

    def __call__(self, context: Any) -> Current:
        """What is to be current in the call with this servicer context of gRPC's."""
        try:
            ref = self._rules.reference(context)
        except RejectedError as rejected:
            context.abort(*rejected.refusal)
            raise
        if ref is None and self._policy.no_reference is Action.PROCEED:
            return None
        call = Call(self._method, context)
        if self._policy.lazy:
            context.add_callback(call.end)
            return BlockingDeferred(ref, lambda: self._resolve(ref, call))
        return self._resolve(ref, call)

    def _resolve(self, ref: ContextRef | None, call: Call) -> Known:
        steps = resolving(self._policy, ref, call)
        try:
            step = next(steps)
            while True:
                try:
                    known = self._perform(step)
                except Exception as error:  # noqa: BLE001 - the steps know what it means
                    step = steps.throw(error)
                else:
                    step = steps.send(known)
        except StopIteration as stop:
            value: Known = stop.value
            return value
        except RejectedError as rejected:
            if call.is_over:  # and there is nothing left to end
                raise NoContextError(rejected.refusal.text) from None
            call.context.abort(*rejected.refusal)
            raise


class AsyncEntrance:
    """`Entrance` on an event loop."""

    def __init__(self, rules: Inbound, method: str, perform: AsyncPerform) -> None:
        self._rules = rules
        self._method = method
        self._policy = rules.policy_of(method)
        self._perform = perform

    async def __call__(self, context: Any) -> Current:
        """What is to be current in the call with this servicer context of gRPC's."""
        try:
            ref = self._rules.reference(context)
        except RejectedError as rejected:
            await context.abort(*rejected.refusal)
            raise
        if ref is None and self._policy.no_reference is Action.PROCEED:
            return None
        call = Call(self._method, context)
        if self._policy.lazy:
            context.add_done_callback(call.end)
            return AsyncDeferred(ref, lambda: self._resolve(ref, call))
        return await self._resolve(ref, call)

    async def _resolve(self, ref: ContextRef | None, call: Call) -> Known:
        steps = resolving(self._policy, ref, call)
        try:
            step = next(steps)
            while True:
                try:
                    known = await self._perform(step)
                except Exception as error:  # noqa: BLE001 - the steps know what it means
                    step = steps.throw(error)
                else:
                    step = steps.send(known)
        except StopIteration as stop:
            value: Known = stop.value
            return value
        except RejectedError as rejected:
            if call.is_over:  # and there is nothing left to end
                raise NoContextError(rejected.refusal.text) from None
            await call.context.abort(*rejected.refusal)
            raise
