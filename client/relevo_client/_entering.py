"""How a call gets its context: the rules' steps, run with blocking or asyncio's I/O."""

from collections.abc import Awaitable, Callable
from typing import Any

from relevo_client._current import AsyncDeferred, BlockingDeferred, Current, Known
from relevo_client._inbound import Inbound, Make, RejectedError, Resolve, Steps
from relevo_client._keys import ContextRef


def enter(
    rules: Inbound, method: str, context: Any, perform: Callable[[Resolve | Make], Known]
) -> Current:
    """What is to be current in a call. Ends the call where it is rejected."""

    def resolve(ref: ContextRef | None) -> Known:
        try:
            return _run(rules.resolving(method, ref, context), perform)
        except RejectedError as rejected:
            context.abort(*rejected.refusal)
            raise

    try:
        ref = rules.reference(context)
    except RejectedError as rejected:
        context.abort(*rejected.refusal)
        raise
    if rules.policy_of(method).lazy:
        return BlockingDeferred(ref, lambda: resolve(ref))
    return resolve(ref)


async def enter_async(
    rules: Inbound, method: str, context: Any, perform: Callable[[Resolve | Make], Awaitable[Known]]
) -> Current:
    """What is to be current in a call. Ends the call where it is rejected."""

    async def resolve(ref: ContextRef | None) -> Known:
        try:
            return await _run_async(rules.resolving(method, ref, context), perform)
        except RejectedError as rejected:
            await context.abort(*rejected.refusal)
            raise

    try:
        ref = rules.reference(context)
    except RejectedError as rejected:
        await context.abort(*rejected.refusal)
        raise
    if rules.policy_of(method).lazy:
        return AsyncDeferred(ref, lambda: resolve(ref))
    return await resolve(ref)


def _run(steps: Steps, perform: Callable[[Resolve | Make], Known]) -> Known:
    try:
        step = next(steps)
        while True:
            try:
                known = perform(step)
            except Exception as error:  # noqa: BLE001 - the steps know what it means
                step = steps.throw(error)
            else:
                step = steps.send(known)
    except StopIteration as stop:
        value: Known = stop.value
        return value


async def _run_async(steps: Steps, perform: Callable[[Resolve | Make], Awaitable[Known]]) -> Known:
    try:
        step = next(steps)
        while True:
            try:
                known = await perform(step)
            except Exception as error:  # noqa: BLE001 - the steps know what it means
                step = steps.throw(error)
            else:
                step = steps.send(known)
    except StopIteration as stop:
        value: Known = stop.value
        return value
