"""Post-notification: a caller that reads at once does not miss what its callee has written."""

import pytest
from support.redis.process import RedisProcess
from support.servers.notifying import delayed_stores, notes

ROUNDS = 30


@pytest.mark.parametrize("come_back", [True, False], ids=["fences come back", "they do not"])
async def test_a_caller_that_reads_at_once(redis: RedisProcess, *, come_back: bool) -> None:
    """No read is older than what the caller was told is written, however late the pushes are.

    The caller reads itself, and by services on two servers that are told of changes 0 to 0.5 s
    late. If fences do not come back, this sees older reads: so there is something to see.
    """
    with delayed_stores(redis.port, "notes") as addresses:
        async with notes(addresses) as caller:
            current = await caller.begin("acme")
            older = 0
            for number in range(1, ROUNDS + 1):
                older += await caller.round(current, number, come_back=come_back)
    assert (older == 0) is come_back
