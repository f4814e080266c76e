"""Riders in requests: a service behind another one has the context without asking the store."""

from base64 import b64encode
from typing import Any

import pytest
from relevo_client import AsyncContextClient, ContextEntry, ContextRef, context_headers, use_context
from relevo_client.asgi import ContextMiddleware, Scope
from support.clients.either import KEY
from support.clients.riding import snapshot_of
from support.entries import entry_of
from support.network.ports import NOBODY
from support.servers.asgi import ask, see

RIDER = "context-entry-bin"


@pytest.fixture
def snapshot() -> ContextEntry:
    """A snapshot that no store has."""
    return snapshot_of(entry_of("u-1", key=KEY, revision=7))


def headers_of(snapshot: ContextEntry) -> dict[str, str]:
    """The headers of a request from where the snapshot is current."""
    with use_context(snapshot):
        return context_headers()


async def answer_to(headers: Any, **rules: Any) -> Any:
    """The answer of a service whose store is away."""
    async with AsyncContextClient(f"127.0.0.1:{NOBODY}", timeout=0.2) as contexts:
        return await ask(ContextMiddleware(see, contexts, **rules), headers)


async def test_no_store_is_needed(snapshot: ContextEntry) -> None:
    """A trusted caller's rider is used at once, with or without the padding of base64."""
    headers = headers_of(snapshot)
    for rider in (
        headers[RIDER],
        headers[RIDER].rstrip("="),
        f"{headers[RIDER]}, {headers[RIDER]}",
    ):
        answer = await answer_to({**headers, RIDER: rider}.items(), trust_callers=True)
        assert (answer.status, answer.body["context"]["user_id"]) == (200, "u-1")
        assert answer.body["key"] == snapshot.key.text


async def test_a_stranger_is_not_believed(snapshot: ContextEntry) -> None:
    """An outsider's rider is removed before the application, with its reference or alone."""
    headers = headers_of(snapshot)
    for sent in (headers, {RIDER: headers[RIDER]}, {RIDER.title(): "x"}):
        answer = await answer_to(sent.items())
        assert (answer.status, answer.body["context"], answer.body["names"]) == (200, None, [])
    alone = await answer_to({RIDER: headers[RIDER]}.items(), trust_callers=True)
    assert (alone.body["context"], alone.body["names"]) == (None, [])


@pytest.mark.parametrize(
    "rider", ["", "no base64!", "AAAA", "\u00e9", b64encode(bytes(6000)).decode(), "AAAA,BBBB"]
)
async def test_a_bad_one_is_as_none(snapshot: ContextEntry, rider: str) -> None:
    """With a rider that must not be used, the store is asked."""
    answer = await answer_to({**headers_of(snapshot), RIDER: rider}.items(), trust_callers=True)
    assert (answer.status, answer.body["error"]["reason"]) == (503, "UNAVAILABLE")


def nobody(_: ContextRef, __: Scope) -> bool:
    """Authorizes no reference."""
    return False


async def test_authorize_comes_first(snapshot: ContextEntry) -> None:
    """A reference that is not authorized is answered 403, whatever rides with it."""
    answer = await answer_to(headers_of(snapshot).items(), trust_callers=True, authorize=nobody)
    assert answer.status == 403
