"""References in requests are used only if the caller is trusted."""

import logging
from typing import Any

import pytest
from relevo_client import ContextKey, ContextRef, ExecutionContext
from relevo_client.asgi import Scope
from relevo_client.testing import LocalStore
from support.servers.asgi import HEADERS, Edge, ask


@pytest.fixture
def ref(store: LocalStore) -> ContextRef:
    """An existing conversation."""
    key = ContextKey("conversation", "acme", "c-7")
    return store.client.put(key, ExecutionContext(tenant_id="acme", user_id="u-7"))


def carried(ref: ContextRef) -> dict[str, str]:
    """The headers of a reference."""
    return {"context-key": ref.key.text, "context-revision": str(ref.revision)}


async def test_a_stranger_is_not_believed(edge: Edge, ref: ContextRef) -> None:
    """An outsider's reference is ignored, and removed before the application."""
    answer = await ask(edge(), carried(ref).items())
    assert (answer.body["context"], answer.body["names"]) == (None, [])
    answer = await ask(edge(), {**HEADERS, **carried(ref)}.items())
    assert answer.body["key"] == "conversation:acme:c-1"
    assert answer.body["names"] == ["x-tenant-id", "x-conversation-id"]
    shouted = [(b"Context-Key", ref.key.text.encode())]
    assert (await ask(edge(), shouted)).body["names"] == []
    assert (await ask(edge(), [("context-key", b"\xff")])).status == 200


async def test_an_exempt_request_is_not_believed_either(edge: Edge, ref: ContextRef) -> None:
    """An exempt request's untrusted reference is removed, too."""

    def all_of_them(_: Scope) -> bool:
        return True

    answer = await ask(edge(exempt=all_of_them), carried(ref).items())
    assert answer.body["names"] == []


async def test_who_is_trusted_says_it(edge: Edge, ref: ContextRef, begin: Any) -> None:
    """A trusted reference overrides the headers, as of its revision or later."""
    for headers in (carried(ref), {**carried(ref), "X-Tenant-ID": "acme", "X-User-ID": "u-7"}):
        answer = await ask(edge(trust_callers=True), headers.items())
        assert answer.body["context"]["user_id"] == "u-7"
        assert int(answer.body["revision"]) >= ref.revision
        assert "context-key" in answer.body["names"]
    behind = ContextRef(ref.key, ref.revision + (1 << 40))
    answer = await ask(edge(trust_callers=True), carried(behind).items())
    assert (answer.status, answer.body["error"]["reason"]) == (503, "TOO_OLD")
    assert begin.identities == []


async def test_trust_by_the_scope(edge: Edge, ref: ContextRef) -> None:
    """A function decides which callers are trusted; it is called only if there is a reference."""
    asked: list[Scope] = []

    def is_internal(scope: Scope) -> bool:
        asked.append(scope)
        return bool(scope["client"][0].startswith("10."))

    app = edge(trust_callers=is_internal)
    assert (await ask(app, HEADERS.items())).status == 200
    assert asked == []
    inside = await ask(app, carried(ref).items(), client=("10.0.0.7", 1))
    assert inside.body["key"] == ref.key.text
    assert (await ask(app, carried(ref).items(), client=("8.8.8.8", 1))).body["key"] is None


@pytest.mark.parametrize(
    "headers",
    [
        [("context-key", "acme")],
        [("context-key", "a:b:c"), ("context-key", "a:b:d")],
        [("context-key", "a:b:c"), ("context-revision", "-1")],
        [("context-key", b"a:b:\xc3\xa9")],
    ],
    ids=str,
)
async def test_a_malformed_reference(edge: Edge, headers: Any) -> None:
    """A trusted caller's malformed reference is 400, with any other headers."""
    answer = await ask(edge(trust_callers=True), [*HEADERS.items(), *headers])
    assert (answer.status, answer.body["error"]["reason"]) == (400, "MALFORMED_REFERENCE")


async def test_a_reference_to_nothing(edge: Edge, begin: Any) -> None:
    """If a reference's entry does not exist, no conversation is begun instead."""
    ref = ContextRef(ContextKey("conversation", "acme", "c-8"))
    answer = await ask(edge(trust_callers=True), {**HEADERS, **carried(ref)}.items())
    assert answer.status == 400  # c-1 is not c-8
    answer = await ask(edge(trust_callers=True), carried(ref).items())
    assert (answer.status, answer.body["error"]["reason"]) == (409, "NOT_FOUND")
    assert begin.identities == []


async def test_headers_that_contradict_a_reference(edge: Edge, ref: ContextRef) -> None:
    """A trusted request with two tenants, or two conversations, is 400."""
    app = edge(trust_callers=True)
    answer = await ask(app, {**carried(ref), "X-Tenant-ID": "globex"}.items())
    assert answer.status == 400
    assert answer.body["error"]["message"] == "X-Tenant-ID: must be the tenant of the context-key"
    answer = await ask(app, {**carried(ref), "X-Conversation-ID": "c-1"}.items())
    assert answer.body["error"]["message"] == (
        "X-Conversation-ID: must be the conversation of the context-key"
    )
    assert (await ask(app, {**carried(ref), "X-User-ID": "u-8"}.items())).status == 403


async def test_authorize(edge: Edge, ref: ContextRef, begin: Any) -> None:
    """If `authorize` refuses, the answer is 403, before the store is asked or anything begun."""
    asked: list[tuple[str, str]] = []

    def may(ref: ContextRef, scope: Scope) -> bool:
        asked.append((ref.key.text, scope["path"]))
        return ref.key.id == "c-7"

    app = edge(authorize=may, trust_callers=True)
    answer = await ask(app, HEADERS.items())
    assert (answer.status, answer.body) == (
        403,
        {"error": {"reason": "FORBIDDEN", "message": "the caller may not use this context"}},
    )
    assert (await ask(app, carried(ref).items())).status == 200
    assert (await ask(app)).status == 200
    assert asked == [("conversation:acme:c-1", "/talk"), (ref.key.text, "/talk")]
    assert begin.identities == []


async def test_a_rule_that_fails(
    edge: Edge, ref: ContextRef, caplog: pytest.LogCaptureFixture
) -> None:
    """A rule that raises is 500 with a fixed text; the log has no values."""

    def fail(*_: Any) -> bool:
        raise RuntimeError("secret")

    for rules in ({"trust_callers": fail}, {"authorize": fail}, {"exempt": fail}):
        answer = await ask(edge(**{"trust_callers": True, **rules}), carried(ref).items())
        assert (answer.status, answer.body["error"]["reason"]) == (500, "INTERNAL")
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(errors) == 3
    assert all(f"RuntimeError in fail ({__file__}:" in record.getMessage() for record in errors)
    assert "secret" not in caplog.text


@pytest.mark.parametrize("name", ["trust_callers", "authorize", "exempt"])
def test_rules_are_plain_functions(name: str, edge: Edge) -> None:
    """A coroutine function as a rule is refused when the middleware is created."""

    async def rule(*_: Any) -> bool:
        return False

    with pytest.raises(TypeError, match=name):
        edge(**{name: rule})
