"""The blocking client's cache among threads: reads respect fences, and no thread is left over."""

import gc
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import grpc
import pytest
from relevo_client import (
    CacheOptions,
    ContextClient,
    ContextKey,
    ContextRef,
    ExecutionContext,
    RelevoError,
    current_ref,
    use_context,
)
from relevo_client._near_cache import blocking
from relevo_client._near_cache.riding import RiderCache
from relevo_client.testing import LocalStore
from support.clients.either import KEY
from support.snippets import with_unclean_memory
from support.waiting import until

THREADS = 8


@pytest.fixture
def store() -> Iterator[LocalStore]:
    """A store."""
    with LocalStore() as store:
        yield store


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """The threads."""
    with ThreadPoolExecutor(THREADS) as pool:
        yield pool


class OneAtATime:
    """A near cache that detects two threads at once, and lets threads switch at each step."""

    def __init__(self, cache: RiderCache) -> None:
        self._cache = cache
        self._use = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        it = getattr(self._cache, name)
        return self._guarded(it) if callable(it) else it

    def _guarded(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*args: Any) -> Any:
            assert self._use.acquire(blocking=False), "two threads are at the cache"
            try:
                time.sleep(0)  # another thread's turn
                return function(*args)
            finally:
                self._use.release()

        return guarded


def guarded(options: CacheOptions, *, renewed_scopes: AbstractSet[str]) -> Any:
    """Creates such a cache, with the signature that the client's driver expects."""
    return OneAtATime(RiderCache(options, renewed_scopes=renewed_scopes))


def watching(client: ContextClient, target: ContextKey | ContextRef = KEY) -> ContextClient:
    """A client whose cache has the entry."""
    until(lambda: client.peek(target), what="the entry to be local")
    return client


OfClients = Callable[[], list[str]]


@pytest.fixture
def of_clients() -> OfClients:
    """The threads of this test's clients: Relevo's, and gRPC's own below them."""
    before = set(threading.enumerate())  # clients of other tests may live as long as the session

    def names() -> list[str]:
        return [
            thread.name
            for thread in set(threading.enumerate()) - before
            if thread.name.startswith("relevo-watch") or "(_run)" in thread.name
        ]

    return names


def test_threads_amid_changes(store: LocalStore, pool: ThreadPoolExecutor) -> None:
    """A thread's context is never behind its fence, and each answer is counted once."""
    with ContextClient(store.address, timeout=10, cache=CacheOptions()) as client:
        refs = deque([store.client.put(KEY, ExecutionContext(user_id="0"))], maxlen=1)
        watching(client)
        before = client.cache_counts.hits
        is_over = threading.Event()

        def read() -> int:
            reads = 0
            while not is_over.is_set():
                ref = refs[-1]
                found = client.resolve(ref)
                assert min(found.version, found.revision) >= ref.revision
                reads += 1
            return reads

        with closing(client):
            readers = [pool.submit(read) for _ in range(THREADS)]
            for i in range(1, 200):
                refs.append(store.client.put(KEY, ExecutionContext(user_id=str(i))))
            is_over.set()
            reads = sum(reader.result(30) for reader in readers)
        counts = client.cache_counts
        assert counts.hits - before + counts.misses == reads
        assert counts.hits - before > 200, "the cache was hardly ever used"


def test_one_thread_at_a_time(
    store: LocalStore,
    pool: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Many threads add, end and evict entries, and the cache serves one thread at a time."""
    keys = [ContextKey("conversation", "acme", f"c-{i}") for i in range(6)]
    for key in keys:
        store.client.put(key, ExecutionContext(user_id=key.id))
    monkeypatch.setattr(blocking, "RiderCache", guarded)
    options = CacheOptions(max_entries=5)

    def read(client: ContextClient) -> None:
        for _ in range(100):
            key = random.choice(keys)  # noqa: S311 - any will do
            assert client.resolve(key).context.user_id == key.id
            for each in keys:
                client.peek(each)

    with ContextClient(store.address, timeout=10, cache=options) as client:
        readers = [pool.submit(read, client) for _ in range(THREADS)]
        while not all(reader.done() for reader in readers):
            store.client.invalidate_tenant("acme", scope="agent_config")
        for reader in readers:
            reader.result(30)
        assert client.cache_counts.evictions > 0
    assert [each for each in caplog.records if each.levelno >= logging.WARNING] == []


def test_nothing_before_the_first_lookup(store: LocalStore, of_clients: OfClients) -> None:
    """An unused cache has no threads, and the first lookup does not wait for them."""
    with ContextClient(store.address, cache=CacheOptions()) as client:
        assert of_clients() == []
        assert client.peek(KEY) is None
        until(of_clients)


@pytest.mark.parametrize("is_own", [True, False], ids=["own channel", "given channel"])
def test_closing_amid_lookups(
    store: LocalStore,
    pool: ThreadPoolExecutor,
    of_clients: OfClients,
    is_own: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """`close` ends the stream and its threads at once; lookups fail, and nothing is logged."""
    caplog.set_level(logging.INFO)
    ref = store.client.put(KEY, ExecutionContext())
    with grpc.insecure_channel(store.address) as channel:
        where: dict[str, Any] = {"target": store.address} if is_own else {"channel": channel}
        # The next message is due in many seconds, and `close` does not wait for it.
        client = watching(ContextClient(**where, cache=CacheOptions(max_staleness=80)))
        reads: list[int] = []

        def read() -> None:
            while True:
                reads.append(client.resolve(ref).version)

        readers = [pool.submit(read) for _ in range(THREADS)]
        until(lambda: len(reads) > 10 * THREADS)
        begun = time.monotonic()
        client.close()
        assert time.monotonic() - begun < 5
        errors = [reader.exception(10) for reader in readers]
        assert {getattr(error, "reason", error) for error in errors} == {"CLIENT_CLOSED"}
        assert not [name for name in of_clients() if name.startswith("relevo-watch")]
        until(lambda: not of_clients(), what="gRPC's threads to end")
        assert client.peek(ref) is None
    told = [each.getMessage() for each in caplog.records if each.name != "relevo_server"]
    assert told == []


def test_a_client_that_is_forgotten(store: LocalStore, of_clients: OfClients) -> None:
    """A client without references ends its stream and threads, even if it was not closed."""
    store.client.put(KEY, ExecutionContext())
    client = watching(ContextClient(store.address, cache=CacheOptions()))
    assert of_clients()
    del client
    gc.collect()
    until(lambda: not of_clients(), what="the threads to end")


def test_a_channel_that_is_closed_under_it(
    store: LocalStore, of_clients: OfClients, caplog: pytest.LogCaptureFixture
) -> None:
    """If the caller closes the channel first, the cache serves nothing, and nothing crashes."""
    store.client.put(KEY, ExecutionContext())
    channel = grpc.insecure_channel(store.address)
    with watching(ContextClient(channel=channel, cache=CacheOptions())) as client:
        channel.close()
        until(lambda: client.peek(KEY) is None)
        with pytest.raises(RelevoError):
            client.resolve(KEY)
    assert not [name for name in of_clients() if name.startswith("relevo-watch")]
    until(lambda: not of_clients(), what="gRPC's threads to end")
    assert [each for each in caplog.records if each.levelno >= logging.WARNING] == []


class Opening(grpc.StreamStreamClientInterceptor):
    """Records the current context at each stream's start and at each of its requests."""

    def __init__(self) -> None:
        self.seen: list[ContextRef | None] = []

    def intercept_stream_stream(
        self,
        continuation: Callable[..., Any],
        client_call_details: Any,
        request_iterator: Iterator[Any],
    ) -> Any:
        """Record it now, and again at each request."""

        def asked() -> Iterator[Any]:
            for request in request_iterator:
                self.seen.append(current_ref())
                yield request

        self.seen.append(current_ref())
        return continuation(client_call_details, asked())


def test_no_context_is_current_in_the_threads(store: LocalStore) -> None:
    """The context that is current at the first lookup is not current in the cache's threads."""
    ref = store.client.put(KEY, ExecutionContext())
    opening = Opening()
    with grpc.insecure_channel(store.address) as plain:
        channel = grpc.intercept_channel(plain, opening)
        client = ContextClient(channel=channel, cache=CacheOptions())
        with closing(client), use_context(store.client.get(KEY)):
            assert current_ref() == ref
            watching(client)
    assert set(opening.seen) == {None}
    assert len(opening.seen) > 1


NEVER_CLOSED = """
import time
from relevo_client import CacheOptions, ContextClient, ContextKey

client = ContextClient(ADDRESS, cache=CacheOptions())
while client.peek(ContextKey("conversation", "acme", "c-1")) is None:
    time.sleep(0.01)
print("done")
"""


def test_a_program_that_ends_without_closing(store: LocalStore) -> None:
    """A program that ends without closing its client ends at once and silently."""
    store.client.put(KEY, ExecutionContext())
    done = with_unclean_memory(f"ADDRESS = {store.address!r}\n{NEVER_CLOSED}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
