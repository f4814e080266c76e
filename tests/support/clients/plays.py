"""Plays one call to one server until its end, and returns the result."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

from grpc import StatusCode
from relevo_client import ContextEntry, ContextRef, current_ref, use_context

from support.clients.callers import Caller, Outcome, calling
from support.servers.hosting import Host, hosted
from support.servers.scenes import ITEMS, Ending, Scene
from support.servers.shapes import SHAPES, Shape
from support.waiting import until_async

Metadata = Sequence[tuple[str, str]]

UNARY_SHAPES = [shape for shape in SHAPES if shape.arity == "unary_unary"]
"""The shapes of a unary call: handlers in a thread, in a task, and in a thread of an
asyncio server."""


CODES = {
    Ending.SUCCESS: StatusCode.OK,
    Ending.SET_CODE: StatusCode.NOT_FOUND,
    Ending.ABORT: StatusCode.NOT_FOUND,
    Ending.ABORT_WITH_STATUS: StatusCode.NOT_FOUND,
    Ending.EXCEPTION: StatusCode.UNKNOWN,
    Ending.CANCEL: StatusCode.CANCELLED,
    Ending.CANCEL_AMID_ITEMS: StatusCode.CANCELLED,
    Ending.DEADLINE: StatusCode.DEADLINE_EXCEEDED,
    Ending.STOP: StatusCode.UNAVAILABLE,
}
_CUT_OFF = (Ending.CANCEL, Ending.CANCEL_AMID_ITEMS, Ending.DEADLINE, Ending.STOP)
_SAID_OF_CUTS = ("Aborting method ", "ExecuteBatchError raised in core by servicer method ")
_RAISED_AMID_CUTS = "grpc._cython.cygrpc"
DEADLINE = 1.5  # seconds: enough for the handler to finish its work before


class Play(NamedTuple):
    """A call that has ended."""

    outcome: Outcome
    seen: list[str]
    """The contexts that the handler saw; empty if it was not reached."""

    @property
    def refusal(self) -> tuple[Any, str]:
        """The status of a call that ended without its handler."""
        assert self.seen == [], "the handler was reached"
        return self.outcome.code, self.outcome.details


async def play(
    shape: Shape,
    interceptor: Any,
    metadata: Metadata = (),
    *,
    scene: Scene | None = None,
    timeout: float = 20.0,
) -> Play:
    """A call with this metadata to a handler of this shape, behind this interceptor, or none."""
    scene = scene or Scene()
    methods = {"Do": (shape.arity, shape.make(scene))}
    async with (
        hosted(shape.server, methods, interceptors=[interceptor] if interceptor else []) as host,
        # The blocking client: gRPC's asyncio client loses the status of a call that is
        # refused while it still sends.
        calling("blocking", host.address, interceptors=()) as caller,
    ):
        call = caller.begin(shape.arity, metadata=tuple(metadata), timeout=timeout)
        return Play(await caller.outcome(shape.arity, call), scene.seen)


def naming(ref: ContextRef) -> Metadata:
    """The metadata of a call that carries a reference."""
    return (("context-key", ref.key.text), ("context-revision", str(ref.revision)))


async def played(
    scene: Scene, shape: Shape, host: Host, caller: Caller, entry: ContextEntry
) -> Outcome:
    """The result of a call with this entry current, whose handler plays the scene."""
    ending = scene.ending
    stopping: asyncio.Task[None] | None = None
    items: list[str] = []
    timeout: dict[str, Any] = {"timeout": DEADLINE} if ending is Ending.DEADLINE else {}
    try:
        with use_context(entry):
            call = caller.begin(shape.arity, is_open=ending.is_outside, **timeout)
            assert current_ref() == entry.ref
        if ending is Ending.CANCEL_AMID_ITEMS:
            items = await caller.take(call, 1)
            call.cancel()
        elif ending is Ending.ABORT or ending.is_outside:
            if shape.streams:
                items = await caller.take(call, ITEMS)
            await until_async(scene.has_worked, what="the handler has done its work")
            if ending is Ending.ABORT:
                scene.let_go()
            elif ending is Ending.CANCEL:
                call.cancel()
            elif ending is Ending.STOP:
                stopping = asyncio.create_task(host.stop())
        outcome = await caller.outcome(shape.arity, call)
    finally:
        scene.let_go()
        if stopping:
            await stopping
    assert await asyncio.to_thread(scene.is_over.wait, 10), "the handler's end"
    return outcome._replace(items=items + outcome.items)


def is_grpcs_own(record: logging.LogRecord, ending: Ending) -> bool:
    """Whether a log record is one that gRPC itself sometimes causes when it cuts off a call.

    A plain generator on an asyncio server reads its requests in a thread, and gRPC drops the
    future of that thread when it ends the call: asyncio then logs an exception that was never
    retrieved, for example `_ServerStoppedError`.
    """
    raised = record.exc_info and record.exc_info[1]
    is_said = record.getMessage().startswith(_SAID_OF_CUTS)
    return ending in _CUT_OFF and (is_said or type(raised).__module__ == _RAISED_AMID_CUTS)
