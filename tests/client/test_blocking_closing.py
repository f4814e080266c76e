"""After `close`, calls in flight and later ones raise UnavailableError, and none hangs.

The cases that are not about threads are for AsyncContextClient, too.
"""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import grpc
import pytest
from relevo_client import (
    ContextClient,
    ContextKey,
    ExecutionContext,
    NotFoundError,
    UnavailableError,
)
from relevo_client._near_cache import blocking
from relevo_client.testing import LocalStore
from support.clients.either import KEY, KINDS, METHODS, opened, opened_on_a_channel
from support.servers.shapes import Kind
from support.snippets import with_unclean_memory
from support.waiting import until

STORE = "relevo.v1.ContextStore"
CLOSED = UnavailableError, "CLIENT_CLOSED"
MADE = ExecutionContext(user_id="made")
THREADS = 20

each_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """The threads."""
    with ThreadPoolExecutor(THREADS) as pool:
        yield pool


def test_either_a_target_or_a_channel(store: LocalStore) -> None:
    """A client needs either a target or a channel."""
    with grpc.insecure_channel(store.address) as channel:
        for target, given in ((None, None), (store.address, channel)):
            with pytest.raises(ValueError, match="target or a channel"):
                ContextClient(target, channel=given)


def test_close_twice(store: LocalStore) -> None:
    """`close` can be called any number of times, before the first call too."""
    ContextClient("127.0.0.1:1").close()
    with ContextClient(store.address) as client:
        with pytest.raises(NotFoundError):
            client.get(KEY)
        client.close()
    client.close()


def test_a_channel_of_ones_own(store: LocalStore) -> None:
    """A caller's channel is used, and remains open after the client is closed."""
    with grpc.insecure_channel(store.address) as channel:
        with ContextClient(channel=channel) as client:
            client.put(KEY, MADE)
        with ContextClient(channel=channel) as client:
            assert client.get(KEY).context.user_id == "made"


@each_kind
@pytest.mark.parametrize("opening", [opened, opened_on_a_channel])
async def test_use_after_close(store: LocalStore, kind: Kind, opening: Any) -> None:
    """Every method of a closed client raises UnavailableError, whoever owns the channel."""
    async with opening(kind, store.address) as either:
        await either.ask(METHODS["put"])
        await either.close()
        for call in METHODS.values():
            error = await either.raised(call)
            assert (type(error), error.reason) == CLOSED


@each_kind
async def test_closing_ends_calls(silent: tuple[str, asyncio.Event], kind: Kind) -> None:
    """A call in flight raises UnavailableError when its client is closed."""
    address, arrived = silent
    async with opened(kind, address, timeout=60) as either:
        call = asyncio.create_task(either.raised(METHODS["get"]))
        await arrived.wait()
        await either.close()
        error = await asyncio.wait_for(call, 10)
    assert (type(error), error.reason) == CLOSED


def class_and_reason(error: BaseException | None) -> tuple[object, object]:
    """The class of an error, and its reason."""
    return type(error), getattr(error, "reason", None)


def test_closing_amid_many_threads(store: LocalStore, pool: ThreadPoolExecutor) -> None:
    """All threads that use a client while it is closed get UnavailableError; none crashes."""
    client = ContextClient(store.address, timeout=10)
    client.put(KEY, MADE)
    answers: list[int] = []

    def ask() -> None:
        while True:
            answers.append(client.get(KEY).version)

    with closing(client):
        calls = [pool.submit(ask) for _ in range(THREADS)]
        until(lambda: len(answers) > 10 * THREADS, what="all threads to be at work")
    errors = [call.exception(10) for call in calls]
    assert {class_and_reason(error) for error in errors} == {CLOSED}


@pytest.mark.parametrize("is_own", [True, False], ids=["own channel", "given channel"])
def test_closing_amid_a_load(store: LocalStore, pool: ThreadPoolExecutor, is_own: bool) -> None:
    """`close` waits for no factory; a later result is not put, and its callers get an error.

    A thread cannot be cancelled as a task can: its factory continues, and its callers wait for it.
    """
    started, let = threading.Event(), threading.Event()

    def factory(_: ContextKey) -> ExecutionContext:
        started.set()
        assert let.wait(30)
        return MADE

    with grpc.insecure_channel(store.address) as channel:
        client = ContextClient(store.address) if is_own else ContextClient(channel=channel)
        call = pool.submit(client.get_or_create, KEY, factory)
        assert started.wait(10)
        client.close()
        let.set()
        assert class_and_reason(call.exception(10)) == CLOSED
    with pytest.raises(NotFoundError):
        store.client.get(KEY)


ON_A_CLOSED_CHANNEL = """
import grpc
from relevo_client import ContextClient, ContextKey, UnavailableError

for _ in range(20):
    channel = grpc.insecure_channel("127.0.0.1:1")
    channel.close()
    try:
        ContextClient(channel=channel).get(ContextKey("conversation", "acme", "c-1"))
    except UnavailableError as error:
        print(error.reason)
"""


def test_a_channel_that_was_closed_before() -> None:
    """A client of a closed channel raises UnavailableError, and does not end the process."""
    done = with_unclean_memory(ON_A_CLOSED_CHANNEL)
    assert (done.returncode, done.stdout) == (0, "CLIENT_CLOSED\n" * 20), done.stderr[-500:]


class StuckStream(grpc.StreamStreamClientInterceptor):
    """A stream that ends neither by itself nor by a cancellation."""

    def __init__(self) -> None:
        self.is_read = threading.Event()
        self.is_released = threading.Event()

    def intercept_stream_stream(
        self, continuation: Any, client_call_details: Any, request_iterator: Any
    ) -> Any:
        """Return this stream for every call."""
        del continuation, client_call_details, request_iterator
        return self

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        self.is_read.set()
        self.is_released.wait()
        raise StopIteration

    def cancel(self) -> bool:
        """Do nothing, as gRPC may do in a process that also runs grpc.aio."""
        return False


def test_a_stream_that_does_not_end(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """`close` returns even if gRPC does not end the cache's stream."""
    monkeypatch.setattr(blocking, "_CLOSING", 0.05)
    stream = StuckStream()
    with grpc.insecure_channel(store.address) as channel:
        client = ContextClient(channel=grpc.intercept_channel(channel, stream))
        client.peek(KEY)
        assert stream.is_read.wait(10)
        client.close()
    stream.is_released.set()
