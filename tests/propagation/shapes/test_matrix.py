"""Every shape of call and handler, with every ending, has the same guarantees.

For any kind of client and server, any arity, shape of handler and ending, the handler has its
caller's context from its first line to its last, and nothing remains of it.
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
"""The endings of calls through Relevo's channel, which does not affect how they end."""

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
    """Objects from before are not garbage of these tests, and need not be searched."""
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
    """The handler has the context at its every look, and its call ends as the handler ends it.

    - The handler sees it at its beginning, with every message, and in its `finally`.
    - One key and one revision are on the wire.
    - The status, its text and its trailers are those of the handler, or of gRPC.
    - The caller's own context is unchanged, also between any two items.
    - The server's one thread keeps no context, and the next call, which names none, has none.
    - Only gRPC logs warnings, and only of the handler's own defect, or of a call that it cut off.
      No exception is ignored, and every coroutine is awaited: otherwise, pytest fails.
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
