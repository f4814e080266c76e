"""HTTP answers take fences back to trusted callers, who hear them."""

from typing import Any

import pytest
from relevo_client import ContextEntry, ContextRef, ExecutionContext, current_ref, hear, use_context
from relevo_client._context.fences import fence_of, raise_fence
from relevo_client._telemetry.counts import COUNTS
from relevo_client.asgi import Receive, Scope, Send
from relevo_client.testing import LocalStore
from support.entries import entry_of
from support.servers.asgi import HEADERS, Edge, ask, see

LATER = 1000
NAME = "context-revision"


@pytest.fixture
def entry(store: LocalStore) -> ContextEntry:
    """An existing conversation."""
    key = entry_of("u-7").key
    store.client.put(key, ExecutionContext(tenant_id=key.tenant_id, user_id="u-7"))
    return store.client.resolve(key)


def carried(ref: ContextRef) -> dict[str, str]:
    """The headers of a reference."""
    return {"context-key": ref.key.text, NAME: str(ref.revision)}


async def writing(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that writes before it answers, and sets a header of the same name."""
    ref = current_ref()
    if ref:
        raise_fence(ref.key.tenant_id, ref.revision + LATER)

    async def send_more(message: Any) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], (b"Context-Revision", b"1")]
        await send(message)

    await see(scope, receive, send_more)


async def test_a_trusted_caller_hears(edge: Edge, entry: ContextEntry) -> None:
    """The answer to a trusted caller has the newest revision that the request has heard of."""
    answer = await ask(edge(writing, trust_callers=True), carried(entry.ref).items())
    assert answer.headers[NAME] == str(entry.revision + LATER)


async def test_nothing_new(edge: Edge, entry: ContextEntry) -> None:
    """An answer without a later revision has no such header."""
    answer = await ask(edge(trust_callers=True), carried(entry.ref).items())
    assert (answer.status, NAME in answer.headers) == (200, False)


async def test_others_hear_nothing(edge: Edge, entry: ContextEntry) -> None:
    """Neither a stranger nor a caller that names its conversation by headers is told."""
    for headers in (HEADERS, {**HEADERS, **carried(entry.ref)}):
        answer = await ask(edge(writing), headers.items())
        assert answer.headers.get(NAME) in (None, "1")


async def test_what_the_middleware_writes(
    edge: Edge, entry: ContextEntry, store: LocalStore
) -> None:
    """What the store had newer than the reference is heard, too: the application works with it."""
    newer = store.client.update(entry.key, {"user_id": "u-8"})
    answer = await ask(edge(trust_callers=True), carried(entry.ref).items())
    assert answer.headers[NAME] == str(newer.revision)


def test_headers_are_heard(entry: ContextEntry) -> None:
    """`hear` takes headers, pairs and references; what is malformed is ignored and counted."""
    tenant_id = entry.key.tenant_id
    with use_context(entry):
        answers: list[Any] = [
            {"Content-Type": "x"},
            None,
            [],
            ContextRef(entry.key, 1),
            {NAME: "1"},
        ]
        for answer in answers:
            hear(answer)
        assert current_ref() == entry.ref
        before = COUNTS.heard_refused
        for text in ("x", "1, 2", "9223372036854775808"):
            hear({NAME: text})
        assert (current_ref(), COUNTS.heard_refused) == (entry.ref, before + 3)
        hear({"Context-Revision": str(entry.revision + 1)})
        assert fence_of(tenant_id) == entry.revision + 1
        hear([(NAME, str(entry.revision + 2))])
        assert fence_of(tenant_id) == entry.revision + 2
        hear(ContextRef(entry.key, entry.revision + 3))
        assert fence_of(tenant_id) == entry.revision + 3
    hear({NAME: "9"})
    assert fence_of(tenant_id) == 0
