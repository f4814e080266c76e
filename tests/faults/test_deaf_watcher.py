"""A watcher that reads nothing costs the server a bounded buffer, and others nothing."""

from collections.abc import AsyncIterator

import psutil
import pytest
from relevo.v1.store_pb2 import ResetReason
from relevo_client import AsyncContextClient, ExecutionContext
from support.clients.calls import Stub
from support.clients.readers import KEY, Reader
from support.clients.watching import Watch
from support.servers.process import RelevoProcess
from support.servers.serving import stub_of

BUFFER = 1 << 20
SIZE = 200_000
PUTS = 200
PUSHED = SIZE * PUTS
"""40 MB: what would wait for the watcher, were it not reset."""


@pytest.fixture
def flags() -> tuple[str, ...]:
    """Large contexts are pushed, and little waits for who does not take them."""
    return ("--watch-push-bytes", str(2 * SIZE), "--watch-buffer-bytes", str(BUFFER))


@pytest.fixture
async def stub(process: RelevoProcess) -> AsyncIterator[Stub]:
    """A stub of the process."""
    async with stub_of(process.address) as stub:
        yield stub


@pytest.fixture
async def deaf(stub: Stub, owner: AsyncContextClient) -> AsyncIterator[Watch]:
    """A stream that has subscribed, has had its answer, and reads no more."""
    del owner
    async with Watch(stub) as watch:
        await watch.answer(watch.subscribe(KEY.to_message()))
        yield watch


def large(i: int) -> ExecutionContext:
    """A context that fills the buffer soon."""
    return ExecutionContext(user_id=str(i), llm_config={"prompt": "x" * SIZE})


async def test_it_is_reset_and_holds_up_nobody(
    process: RelevoProcess, owner: AsyncContextClient, reader: Reader, deaf: Watch
) -> None:
    """The server's memory stays bounded, others hear of each change, and it hears of a reset."""
    memory = psutil.Process(process.process.pid).memory_info
    sizes: list[int] = []
    times: list[float] = []
    for i in range(PUTS):
        await owner.put(KEY, large(i))
        times.append(await reader.until_it_sees(str(i)))
        sizes.append(memory().rss)
    # In the first quarter the buffers of all streams, and of Python, come into use.
    grown = max(sizes) - sizes[PUTS // 4]
    print(f"the server grew by {grown >> 10} KiB; others heard within {max(times):.2f} s")
    assert grown < PUSHED // 4
    assert max(times) < 2
    # Then it reads: what the connection had taken before, and then that something is missing.
    while (message := await deaf.news()).WhichOneof("event") == "entry":
        assert message.entry.context.user_id != str(PUTS - 1)
    assert message.reset.reason == ResetReason.RESET_REASON_SLOW_WATCHER
    # It subscribes again, as resets ask for, and is up to date.
    number = deaf.subscribe(KEY.to_message())
    while (message := await deaf.news()).answers != number:
        assert message.WhichOneof("event") in ("entry", "reset")
    assert message.entry.context.user_id == str(PUTS - 1)
