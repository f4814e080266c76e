"""A watcher that never reads costs the server a bounded buffer, and delays no other watcher."""

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
SLOW = 10.0
"""Seconds. Who waited for the watcher that does not read would wait for ever."""
PUSHED = SIZE * PUTS
"""40 MB would wait for the watcher without a reset."""


@pytest.fixture
def flags() -> tuple[str, ...]:
    """Large contexts are pushed, and the buffer of each watcher is small."""
    return ("--watch-push-bytes", str(2 * SIZE), "--watch-buffer-bytes", str(BUFFER))


@pytest.fixture
async def stub(process: RelevoProcess) -> AsyncIterator[Stub]:
    """The stub of the process."""
    async with stub_of(process.address) as stub:
        yield stub


@pytest.fixture
async def deaf(stub: Stub, owner: AsyncContextClient) -> AsyncIterator[Watch]:
    """A stream that has subscribed, read the answer, and reads no more."""
    del owner
    async with Watch(stub) as watch:
        await watch.answer(watch.subscribe(KEY.to_message()))
        yield watch


def large(i: int) -> ExecutionContext:
    """A context that soon fills the buffer."""
    return ExecutionContext(user_id=str(i), llm_config={"prompt": "x" * SIZE})


async def test_it_is_reset_and_holds_up_nobody(
    process: RelevoProcess, owner: AsyncContextClient, reader: Reader, deaf: Watch
) -> None:
    """The server's memory stays bounded, other watchers get each change, and this one a reset."""
    memory = psutil.Process(process.process.pid).memory_info
    sizes: list[int] = []
    times: list[float] = []
    for i in range(PUTS):
        await owner.put(KEY, large(i))
        times.append(await reader.until_it_sees(str(i)))
        sizes.append(memory().rss)
    # The first quarter brings the buffers of all streams, and of Python, into use.
    grown = max(sizes) - sizes[PUTS // 4]
    print(f"the server grew by {grown >> 10} KiB; others heard within {max(times):.2f} s")
    assert grown < PUSHED // 4
    assert max(times) < SLOW
    # Then it reads the messages that the connection had buffered, and then a reset.
    while (message := await deaf.news()).WhichOneof("event") == "entry":
        assert message.entry.context.user_id != str(PUTS - 1)
    assert message.reset.reason == ResetReason.RESET_REASON_SLOW_WATCHER
    # It subscribes again, as a reset demands, and is up to date.
    number = deaf.subscribe(KEY.to_message())
    while (message := await deaf.news()).answers != number:
        assert message.WhichOneof("event") in ("entry", "reset")
    assert message.entry.context.user_id == str(PUTS - 1)
