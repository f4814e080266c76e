"""Snapshots that turns put count by outcome."""

import pytest
from relevo_client import ExecutionContext
from relevo_server.server import Server
from support.clients.either import KEY, KINDS, opened
from support.clients.turning import turn_of
from support.servers.shapes import Kind
from support.telemetry.recorded import Meters

SNAPSHOTS = "relevo.client.snapshots"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_put_counts_once(server: Server, meters: Meters, kind: Kind) -> None:
    """The snapshot of a state counts when its Put has ended, however many turns have it."""
    async with opened(kind, server.address, timeout=10) as client:
        await client.ask(lambda c: c.put(KEY, ExecutionContext(user_id="u")))
        await client.ask(lambda c: c.resolve(KEY))
        await client.local(KEY)
        before = meters.figures()
        taken = [await turn_of(client) for _ in range(3)]
        await client.local(taken[0].key)
        counted = meters.figures().since(before)
    assert counted.total(SNAPSHOTS) == counted.total(SNAPSHOTS, relevo__outcome="ok") == 1
