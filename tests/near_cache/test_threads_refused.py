"""The blocking client's cache in a process that can have no more threads for a while."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from relevo_client import ContextClient, ExecutionContext
from relevo_client._near_cache import blocking
from relevo_client.testing import LocalStore
from support.clients.either import KEY
from support.waiting import until


@pytest.fixture
def store() -> Iterator[LocalStore]:
    """A store."""
    with LocalStore() as store:
        yield store


def test_a_stream_without_its_thread(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A stream whose pings cannot start is cancelled: its requests end, and another one follows."""
    start = threading.Thread.start
    requests = vars(blocking.Watcher)["_requests"]
    refused, ended = [True, True, True], list[bool]()

    def start_or_refuse(thread: threading.Thread) -> None:
        if thread.name == "relevo-watch-ping" and refused:
            refused.pop()
            raise RuntimeError("can't start new thread")
        start(thread)

    def until_ended(watcher: blocking.Watcher, stream: Any) -> Iterator[Any]:
        try:
            yield from requests(watcher, stream)
        finally:
            ended.append(True)

    monkeypatch.setattr(threading.Thread, "start", start_or_refuse)
    monkeypatch.setattr(blocking.Watcher, "_requests", until_ended)
    store.client.put(KEY, ExecutionContext(user_id="u"))
    with ContextClient(store.address, timeout=10) as client:
        client.resolve(KEY)
        until(lambda: client.peek(KEY) is not None, what="the fourth stream")
        until(lambda: len(ended) == 3, what="the requests of the first three to end")
    assert "the watch of the store failed" in caplog.text
