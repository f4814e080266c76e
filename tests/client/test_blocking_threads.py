"""ContextClient among threads: each call gets its own answer, and a load is shared by all."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

import pytest
from relevo_client import (
    ContextClient,
    ContextEntry,
    ContextKey,
    ExecutionContext,
    NotFoundError,
    TooLargeError,
    current_context,
    current_ref,
    use_context,
)
from relevo_client.testing import LocalStore
from support.clients.either import KEY
from support.waiting import until

MADE = ExecutionContext(user_id="made")
THREADS = 50


class Factory:
    """Returns contexts and counts its calls; `let` allows it to return."""

    def __init__(self, context: ExecutionContext | Exception, *, is_quick: bool = False) -> None:
        self.calls: list[ContextKey] = []
        self.started = threading.Event()
        self.let = threading.Event()
        self._context = context
        if is_quick:
            self.let.set()

    def __call__(self, key: ContextKey) -> ExecutionContext:
        """Return the given context, or raise the given exception."""
        self.calls.append(key)
        self.started.set()
        assert self.let.wait(30)
        if isinstance(self._context, Exception):
            raise self._context
        return self._context


class CountedKey(ContextKey):
    """A key that counts its lookups: a caller looks it up to find the load that it joins.

    The caller holds a lock that the load needs to end.
    """

    lookups: list[None]

    def __hash__(self) -> int:
        self.lookups.append(None)
        return super().__hash__()


@pytest.fixture
def counted() -> CountedKey:
    """A key that counts its lookups."""
    key = CountedKey(KEY.scope, KEY.tenant_id, KEY.id)
    vars(key)["lookups"] = []
    return key


@pytest.fixture
def client(store: LocalStore) -> Iterator[ContextClient]:
    """A client of the store."""
    # Without a cache, which would look up keys, too.
    with ContextClient(store.address, timeout=10, cache=None) as client:
        yield client


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """The threads."""
    with ThreadPoolExecutor(THREADS) as pool:
        yield pool


def test_creates_what_is_not_there(client: ContextClient) -> None:
    """If there is no live entry, the factory creates it; later calls do not call the factory."""
    factory = Factory(MADE, is_quick=True)
    created = client.get_or_create(KEY, factory, ttl=60)
    found = client.get_or_create(KEY, factory)
    assert factory.calls == [KEY]
    assert created.context.user_id == "made"
    assert created.version == found.version
    assert found.ttl.total_seconds() == 60


def test_threads_share_one_factory_call(
    client: ContextClient, pool: ThreadPoolExecutor, counted: CountedKey
) -> None:
    """All threads that wait while the factory runs get the entry that it created."""
    factory = Factory(MADE)
    calls = [pool.submit(client.get_or_create, counted, factory) for _ in range(THREADS)]
    until(lambda: len(counted.lookups) == THREADS, what="all threads to wait")
    factory.let.set()
    entries = [call.result(10) for call in calls]
    assert factory.calls == [counted]
    assert {entry.version for entry in entries} == {client.get(KEY).version}


def test_what_the_factory_raises_reaches_all(
    client: ContextClient, pool: ThreadPoolExecutor, counted: CountedKey
) -> None:
    """Every waiting thread gets the factory's own exception; the next call tries again."""
    failure = RuntimeError("agent management is down")
    broken = Factory(failure)
    calls = [pool.submit(client.get_or_create, counted, broken) for _ in range(THREADS)]
    until(lambda: len(counted.lookups) == THREADS, what="all threads to wait")
    broken.let.set()
    assert [call.exception(10) for call in calls] == [failure] * THREADS
    assert len(broken.calls) == 1
    assert client.get_or_create(counted, Factory(MADE, is_quick=True)).context.user_id == "made"


def test_a_factory_that_finds_nothing(client: ContextClient) -> None:
    """A factory may raise NotFoundError itself, and is not called again for it."""
    calls: list[ContextKey] = []

    def broken(key: ContextKey) -> ExecutionContext:
        calls.append(key)
        raise NotFoundError("no such agent", reason="NOT_FOUND")

    with pytest.raises(NotFoundError, match="no such agent"):
        client.get_or_create(KEY, broken)
    assert calls == [KEY]


def test_keys_do_not_wait_for_each_other(client: ContextClient, pool: ThreadPoolExecutor) -> None:
    """Only calls for the same key share a load: other entries are created in the meantime."""
    slow, other = Factory(MADE), ContextKey("conversation", "acme", "another")
    waiting = pool.submit(client.get_or_create, KEY, slow)
    assert slow.started.wait(10)
    assert client.get_or_create(other, Factory(MADE, is_quick=True)).key == other
    assert not waiting.done()
    slow.let.set()
    assert waiting.result(10).key == KEY


def test_another_process_was_faster(
    store: LocalStore, client: ContextClient, pool: ThreadPoolExecutor
) -> None:
    """If the entry exists when the factory returns, it is returned and not overwritten."""
    mine = Factory(ExecutionContext(user_id="mine"))
    waiting = pool.submit(client.get_or_create, KEY, mine)
    assert mine.started.wait(10)
    theirs = store.client.put(KEY, ExecutionContext(user_id="theirs"))
    mine.let.set()
    entry = waiting.result(10)
    assert (entry.context.user_id, entry.version) == ("theirs", theirs.revision)


def test_a_load_that_cannot_begin(client: ContextClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that can have no more threads says so; the next call begins the load anew."""

    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    factory = Factory(MADE, is_quick=True)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        with pytest.raises(RuntimeError, match="thread"):
            client.get_or_create(KEY, factory)
    assert client.get_or_create(KEY, factory, timeout=10).context.user_id == "made"


def test_what_the_factory_made_may_be_refused(client: ContextClient) -> None:
    """The store's refusal of a new entry reaches the caller unchanged."""
    factory = Factory(ExecutionContext(metadata={"x": "x" * 300_000}), is_quick=True)
    with pytest.raises(TooLargeError):
        client.get_or_create(KEY, factory)


def test_no_context_is_current_in_the_factory(client: ContextClient) -> None:
    """No context is current in the factory; other context variables are those of its caller."""
    request_id: ContextVar[str] = ContextVar("request_id", default="")
    seen: list[object] = []

    def factory(_: ContextKey) -> ExecutionContext:
        seen.extend([current_context(), current_ref(), request_id.get()])
        return MADE

    mine = ContextKey("conversation", "acme", "mine")
    client.put(mine, ExecutionContext(user_id="mine"))
    request_id.set("r-1")
    with use_context(client.get(mine)):
        client.get_or_create(KEY, factory)
        assert current_ref() is not None
    assert seen == [None, None, "r-1"]


def test_many_threads_at_once(client: ContextClient, pool: ThreadPoolExecutor) -> None:
    """Each thread reads its own writes, with one client shared by all."""
    client.put(KEY, ExecutionContext())

    def work(i: int) -> ContextEntry:
        own = ContextKey("conversation", "acme", f"own-{i}")
        for _ in range(5):
            ref = client.put(own, ExecutionContext(user_id=f"u{i}"))
            assert client.resolve(ref).version == ref.revision
            client.update(KEY, {"metadata": {f"k{i}": i}})
        return client.get(own)

    entries = list(pool.map(work, range(THREADS), timeout=60))
    assert [entry.context.user_id for entry in entries] == [f"u{i}" for i in range(THREADS)]
    assert client.get(KEY).context.metadata == {f"k{i}": i for i in range(THREADS)}
