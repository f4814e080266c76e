"""Every shape of call and handler, with every ending: one rule for all of them.

Whatever the kinds of client and server, the arity and the handler's shape, and
however the call ends, the handler has its caller's context from its first line to
its last, and nothing of it stays anywhere.
"""

import asyncio
import gc
import logging
from collections.abc import Iterator

import pytest
from grpc import StatusCode
from relevo_client import ContextEntry, current_ref
from relevo_client.testing import RecordedCalls
from support.clients.callers import Outcome, calling
from support.clients.plays import CODES, is_grpcs_own, played
from support.servers.hosting import SERVICE, StoreClients, hosted, recording
from support.servers.scenes import ITEMS, NOBODY, TRAILING, Ending, Scene
from support.servers.shapes import SHAPES, Kind, Shape

IN_SHORT = (Ending.SUCCESS, Ending.ABORT, Ending.CANCEL)
"""The endings of calls through Relevo's channel, which has no part in how they end."""

CELLS = [
    pytest.param(
        *(shape, client, wrapped, ending),
        id=f"{shape}-{client} {'channel' if wrapped else 'client'}-{ending.value}",
    )
    for shape in SHAPES
    for client in ("blocking", "asyncio")
    for wrapped in (False, True)
    for ending in (IN_SHORT if wrapped else Ending)
    if shape.can_have(ending)
]


@pytest.fixture(scope="module", autouse=True)
def quick_collections() -> Iterator[None]:
    """What is there already is no garbage of these tests, and need not be looked through."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.parametrize("shape, client, wrapped, ending", CELLS)
async def test_every_call_has_its_context_and_leaves_nothing(
    shape: Shape,
    client: Kind,
    wrapped: bool,
    ending: Ending,
    clients: StoreClients,
    entry: ContextEntry,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The context is there at the handler's every look; the end is the handler's own.

    - The handler sees it at first, with every message, and in its `finally`.
    - One key and one revision are on the wire.
    - The status, its text and its trailers are as the handler, or gRPC, made them.
    - The caller's own context is as it was, between any two items too.
    - The server's one thread has nothing left, and the next call, which names
      no context, has none.
    - Nobody logs a warning but gRPC, and gRPC only of the handler's own defect, or that
      it has cut a call off. No exception is ignored, and no coroutine is never awaited:
      pytest fails for them.
    """
    scene, next_scene = Scene(ending), Scene()
    calls = RecordedCalls()
    methods = {
        "Do": (shape.arity, shape.make(scene)),
        "Next": (shape.arity, shape.make(next_scene)),
    }
    interceptors = [
        recording(shape.server, calls),
        clients.interceptor(shape.server, trust_callers=True),
    ]
    async with (
        hosted(shape.server, methods, interceptors=interceptors) as host,
        calling(client, host.address, wrapped=wrapped) as caller,
    ):
        outcome = await played(scene, shape, host, caller, entry)
        _check_outcome(outcome, shape, ending, f"u-1 {entry.ref}")
        _check_handler(scene, f"u-1 {entry.ref}")
        assert calls.only(f"/{SERVICE}/Do").ref == entry.ref
        assert _context_entries(calls, "Do") == ["context-key", "context-revision"]

        loop = asyncio.get_running_loop()
        assert await loop.run_in_executor(host.pool, current_ref) is None
        if ending is not Ending.STOP:
            await caller.outcome(shape.arity, caller.begin(shape.arity, "Next"))
            assert set(next_scene.seen) == {NOBODY}
            assert _context_entries(calls, "Next") == []
    gc.collect()
    told = [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.WARNING and not is_grpcs_own(record, ending)
    ]
    assert len(told) == (ending is Ending.EXCEPTION), told


def _check_outcome(outcome: Outcome, shape: Shape, ending: Ending, seen: str) -> None:
    assert outcome.code is CODES[ending], outcome
    if ending is Ending.CANCEL_AMID_ITEMS:
        assert outcome.items == [seen]
    elif shape.streams:
        assert outcome.items == [seen] * ITEMS
    else:
        assert outcome.items == ([seen] if ending is Ending.SUCCESS else [])
    if outcome.code is StatusCode.NOT_FOUND:
        assert outcome.details == "no such document"
        assert outcome.trailing == [TRAILING]
    if ending is Ending.EXCEPTION:
        assert outcome.details.endswith("a defect")
    assert outcome.refs == {None}


def _check_handler(scene: Scene, seen: str) -> None:
    assert set(scene.seen) == {seen}
    first, last = 1, 1
    items = 1 if scene.ending is Ending.CANCEL_AMID_ITEMS else ITEMS
    assert len(scene.seen) >= first + items + last


def _context_entries(calls: RecordedCalls, method: str) -> list[str]:
    metadata = calls.only(f"/{SERVICE}/{method}").metadata
    return [name for name, _ in metadata if name.startswith("context-")]
