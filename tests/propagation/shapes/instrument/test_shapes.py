"""Calls of every shape have their context, though neither client nor server says so."""

import asyncio

import pytest
from relevo_client import ContextEntry, current_ref
from relevo_client.testing import RecordedCalls
from support.clients.callers import calling
from support.clients.plays import CODES, played
from support.instrumenting import Instrument
from support.servers.hosting import SERVICE, hosted, recording
from support.servers.scenes import ITEMS, NOBODY, Ending, Scene
from support.servers.shapes import SHAPES, Kind, Shape

ENDINGS = (Ending.SUCCESS, Ending.ABORT)


@pytest.mark.parametrize("ending", ENDINGS, ids=lambda ending: ending.value)
@pytest.mark.parametrize("client", ["blocking", "asyncio"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
async def test_every_call_has_its_context(
    instrumented: Instrument, entry: ContextEntry, shape: Shape, client: Kind, ending: Ending
) -> None:
    """The handler has its caller's context from its first line to its last, and nobody else has.

    One key and one revision are on the wire, and the call ends as the handler ends it. The next
    call, which is made without a context, has none.
    """
    instrumented(kinds={"grpc.client", "grpc.server"}, trust_callers=True)
    scene, next_scene, calls = Scene(ending), Scene(), RecordedCalls()
    methods = {
        "Do": (shape.arity, shape.make(scene)),
        "Next": (shape.arity, shape.make(next_scene)),
    }
    async with (
        hosted(shape.server, methods, interceptors=[recording(shape.server, calls)]) as host,
        calling(client, host.address, interceptors=()) as caller,
    ):
        outcome = await played(scene, shape, host, caller, entry)
        assert outcome.code is CODES[ending], outcome
        assert set(scene.seen) == {f"u-1 {entry.ref}"}
        assert len(scene.seen) >= ITEMS + 2
        carried = [name for name, _ in calls.only(f"/{SERVICE}/Do").metadata]
        assert [name for name in carried if name.startswith("context-")] == [
            "context-key",
            "context-revision",
        ]
        loop = asyncio.get_running_loop()
        assert await loop.run_in_executor(host.pool, current_ref) is None
        await caller.outcome(shape.arity, caller.begin(shape.arity, "Next"))
        assert set(next_scene.seen) == {NOBODY}
