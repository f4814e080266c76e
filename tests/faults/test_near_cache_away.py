"""The near cache after an absence: changes are known before any cached entry is used."""

import asyncio
import signal
import time
from collections.abc import Iterator

import pytest
from relevo.v1.store_pb2 import ResetReason
from relevo_client import AsyncContextClient, ContextKey, ExecutionContext
from support.clients.readers import KEY, OPTIONS, SLACK, Reader
from support.clients.watching import Watch
from support.network.proxy import Proxy
from support.python_process import PythonProcess, python_process
from support.redis.process import RedisProcess
from support.servers.process import RelevoProcess, relevo_serve
from support.servers.serving import stub_of
from support.waiting import until

SAME = ContextKey("conversation", "acme", "same")
ENDED = ContextKey("conversation", "acme", "ended")
EVENTS = 400
"""More events than Redis keeps if the log's length is 1: it drops whole nodes of 100."""


@pytest.fixture
def flags() -> tuple[str, ...]:
    """A log that is trimmed soon."""
    return ("--log-length", "1")


async def change_much(owner: AsyncContextClient) -> None:
    """Change one entry, end another one, and push both events out of the log."""
    await owner.put(KEY, ExecutionContext(user_id="after"))
    await owner.invalidate(ENDED)
    other = ContextKey("conversation", "acme", "other")
    for _ in range(EVENTS // 40):
        await asyncio.gather(*(owner.put(other, ExecutionContext()) for _ in range(40)))


async def has_three(owner: AsyncContextClient, reader: Reader) -> None:
    """Besides the first entry, put one that will remain and one that will end."""
    for key, name in ((SAME, "same"), (ENDED, "ended")):
        await owner.put(key, ExecutionContext(user_id=name))
        await reader.until_it_sees(name, key)


async def converges(reader: Reader) -> float:
    """Wait until the reader sees all changes, and return the seconds."""
    begin = time.monotonic()
    await reader.until_it_sees("after")
    await reader.until_it_sees("", ENDED)
    await reader.until_it_sees("same", SAME)
    return time.monotonic() - begin


async def test_a_client_that_was_away_while_the_log_was_trimmed(
    path: Proxy, process: RelevoProcess, owner: AsyncContextClient, reader: Reader
) -> None:
    """If a client's position was trimmed from the log, each cached entry is verified before use."""
    await has_three(owner, reader)
    path.refuse()
    await change_much(owner)
    await reader.until_it_forgets("before", within=OPTIONS.max_staleness + SLACK)
    path.accept()
    print(f"converged {await converges(reader):.2f} s after the connection was mended")
    assert not process.events("watch.reset")  # the server has followed the log all the time


async def test_a_server_that_was_away_while_the_log_was_trimmed(
    process: RelevoProcess, redis: RedisProcess, owner: AsyncContextClient, reader: Reader
) -> None:
    """A server that was away during trimming resets its watchers, which verify each entry."""
    await has_three(owner, reader)
    async with stub_of(process.address) as stub, Watch(stub) as watch:
        # The reader gives its stream up meanwhile. This one stays, so the log is followed on.
        await watch.answer(watch.subscribe(KEY.to_message()))
        with relevo_serve("--store", redis.url, "--log-length", "1") as other:
            process.signal(signal.SIGSTOP)
            try:
                async with AsyncContextClient(other.address, timeout=10) as elsewhere:
                    await change_much(elsewhere)
                await reader.until_it_forgets("before", within=OPTIONS.max_staleness + SLACK)
            finally:
                process.signal(signal.SIGCONT)
            print(f"converged {await converges(reader):.2f} s after the server went on")
        reset = (await watch.news()).reset
    assert reset.reason == ResetReason.RESET_REASON_LOG_TRIMMED
    until(lambda: process.events("watch.reset"), what="its log")
    assert {event["reason"] for event in process.events("watch.reset")} == {"trimmed"}


@pytest.fixture
def looking(owner: AsyncContextClient, process: RelevoProcess) -> Iterator[PythonProcess]:
    """A process that reads its cache all the time; its cache has the entry."""
    del owner
    arguments = (process.address, KEY.text, str(OPTIONS.max_staleness))
    with python_process("support.clients.looking", *arguments) as looking:
        until(lambda: looking.lines and looking.lines[-1][1] == "before", what="it has the entry")
        yield looking


@pytest.mark.parametrize("seconds", [0.3, 1.0, 3.0, pytest.param(10.0, marks=pytest.mark.long)])
async def test_a_client_that_stands_still(
    owner: AsyncContextClient, looking: PythonProcess, seconds: float
) -> None:
    """A process that was stopped and continues does not use its old cached entries."""
    looking.signal(signal.SIGSTOP)
    await owner.put(KEY, ExecutionContext(user_id="after"))
    ended = time.monotonic_ns()
    await asyncio.sleep(seconds)  # the test waits for time itself
    looking.signal(signal.SIGCONT)
    went_on = time.monotonic_ns()
    until(lambda: looking.lines[-1][1] == "after", what="it sees the change")
    print(f"converged {(time.monotonic_ns() - went_on) / 1e9:.2f} s after the client went on")
    late = [(at - ended) / 1e9 for at, name in looking.lines if name == "before"]
    assert max(late) < OPTIONS.max_staleness
    assert {name for at, name in looking.lines if at > ended} <= {None, "before", "after"}
