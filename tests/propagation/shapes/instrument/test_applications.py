"""Applications of Starlette and FastAPI have the contexts of their requests."""

import asyncio
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from relevo_client import (
    AsyncContextClient,
    ContextEntry,
    ContextKey,
    ContextRef,
    ExecutionContext,
    Fallback,
    Policy,
    context_headers,
    current_context,
    current_ref,
    instrument,
    use_context,
)
from relevo_client.asgi import ContextMiddleware
from relevo_client.testing import LocalStore
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from support.instrumenting import Instrument

CONVERSATION = {"X-Tenant-ID": "acme", "X-Conversation-ID": "c-7"}


async def see(request: Request) -> JSONResponse:
    """Answer with the current context, and with the reference that the application sees."""
    now, ref = current_context(), current_ref()
    return JSONResponse(
        {
            "user": now.user_id if now else None,
            "model": now.llm_config.get("model") if now else None,
            "key": ref.key.text if ref else None,
            "header": request.headers.get("context-key"),
        }
    )


def application(**more: Any) -> Starlette:
    """An application with one route."""
    return Starlette(routes=[Route("/", see)], **more)


async def ask(app: Any, headers: dict[str, str] | None = None, path: str = "/") -> Any:
    """The JSON of the answer to a request."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://edge") as http:
        answer = await http.get(path, headers=headers)
    return {"status": answer.status_code, **answer.json()}


async def test_names_are_not_believed_unless_told(instrumented: Instrument) -> None:
    """Headers name no conversation before somebody says that they are true, whatever they are."""
    instrumented()
    app = application()
    for headers in (CONVERSATION, {"X-Tenant-ID": "acme"}, {"X-Tenant-ID": "\x01"}):
        answer = await ask(app, headers)
        assert (answer["status"], answer["key"]) == (200, None)


async def test_exempt_paths(instrumented: Instrument) -> None:
    """A path that fits a pattern of `exempt` has no context, whatever its headers say."""
    policy = Policy(no_reference=Fallback.REJECT)
    instrumented(trust_identity=True, policy=policy, exempt=["/shop.v1.Admin/*", "/health*"])
    routes = [Route(path, see) for path in ("/", "/health", "/healthy/deep")]
    app = Starlette(routes=routes)
    assert (await ask(app))["status"] == 400
    for path in ("/health", "/healthy/deep"):
        for headers in (None, CONVERSATION, {"X-Tenant-ID": "acme"}):
            answer = await ask(app, headers, path)
            assert (answer["status"], answer["key"]) == (200, None)


async def test_a_conversation_begins(instrumented: Instrument) -> None:
    """With `trust_identity`, a request's conversation is found, or begun by `begin`, once."""
    begun: list[str] = []

    async def begin(identity: ExecutionContext) -> ExecutionContext:
        begun.append(identity.conversation_id)
        return identity.update(llm_config={"model": "m-1"})

    instrumented(trust_identity=True, begin=begin)
    app = application()
    headers = {**CONVERSATION, "X-Conversation-ID": "c-begun"}
    for _ in range(2):
        assert (await ask(app, headers))["model"] == "m-1"
    assert begun == ["c-begun"]
    assert (await ask(app))["key"] is None


async def test_functions_by_their_place(
    instrumented: Instrument, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`begin` and `authorize` may be named by their module, which is imported when it is needed."""
    monkeypatch.setenv("RELEVO_BEGIN", "support.beginnings:begin")
    monkeypatch.setenv("RELEVO_AUTHORIZE", "support.beginnings:may")
    monkeypatch.setenv("RELEVO_TRUST_IDENTITY", "true")
    instrumented()
    app = application()
    allowed = {**CONVERSATION, "X-Conversation-ID": "c-allowed"}
    assert (await ask(app, allowed))["model"] == "m-begun"
    assert (await ask(app, {**CONVERSATION, "X-Tenant-ID": "globex"}))["status"] == 403


async def test_a_place_that_is_none(
    instrumented: Instrument, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A function that cannot be imported fails the application's start, and names its variable."""
    monkeypatch.setenv("RELEVO_AUTHORIZE", "support.beginnings:nobody")
    instrumented(trust_identity=True)
    with pytest.raises(ValueError, match=r"authorize \(RELEVO_AUTHORIZE\): .* AttributeError"):
        await ask(application())


@pytest.mark.parametrize("trusted", [False, True])
async def test_references(instrumented: Instrument, entry: ContextEntry, trusted: bool) -> None:
    """A reference in headers counts if HTTP callers are trusted; else the application sees none.

    That callers of gRPC are trusted does not matter.
    """
    instrumented(trust_callers=True, trust_http_callers=trusted)
    with use_context(entry):
        headers = context_headers()
    answer = await ask(application(), headers)
    expected = entry.ref.key.text if trusted else None
    assert (answer["key"], answer["header"]) == (expected, expected)


async def test_nothing_of_the_caller_is_current(
    instrumented: Instrument, entry: ContextEntry
) -> None:
    """A request without a reference has no context, whatever is current around the application."""
    instrumented()
    with use_context(entry):
        assert (await ask(application()))["key"] is None


async def test_the_explicit_way_wins(
    instrumented: Instrument, store: LocalStore, entry: ContextEntry
) -> None:
    """An application that has a ContextMiddleware is left alone."""
    mine = instrumented(trust_http_callers=False)
    with use_context(entry):
        headers = context_headers()
    async with AsyncContextClient(store.address, timeout=10) as contexts:
        own = Middleware(ContextMiddleware, contexts=contexts, trust_callers=True)
        assert (await ask(application(middleware=[own]), headers))["user"] == "u-1"
    assert mine.aio_client().cache_counts.misses == 0


async def test_applications_within_each_other(instrumented: Instrument) -> None:
    """The outer application finds the context, and the inner one works with it."""
    asked: list[ContextRef] = []

    def may(ref: ContextRef, _: Any) -> bool:
        asked.append(ref)
        return True

    async def begin(identity: ExecutionContext) -> ExecutionContext:
        return identity

    instrumented(trust_identity=True, begin=begin, authorize=may)
    outer = Starlette(routes=[Mount("/inner", application())])
    headers = {**CONVERSATION, "X-Conversation-ID": "c-mounted"}
    assert (await ask(outer, headers, "/inner/"))["key"] == "conversation:acme:c-mounted"
    assert len(asked) == 1


async def test_middleware_of_the_application_comes_before(instrumented: Instrument) -> None:
    """Authentication of the application's own runs first; `authorize` sees what it has found."""
    claims: list[Any] = []

    class Authentication:
        def __init__(self, app: Any) -> None:
            self._app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            scope.setdefault("state", {})["tenant"] = "acme"
            await self._app(scope, receive, send)

    def may(_: ContextRef, scope: Any) -> bool:
        claims.append(scope["state"]["tenant"])
        return False

    instrumented(trust_identity=True, authorize=may)
    app = application(middleware=[Middleware(Authentication)])
    middleware: Sequence[Any] = app.user_middleware
    assert (await ask(app, CONVERSATION))["status"] == 403
    assert claims == ["acme"]
    assert [each.cls for each in middleware] == [Authentication]  # the application's own list


async def test_turns(instrumented: Instrument, store: LocalStore) -> None:
    """With `turns`, the context of each request is a snapshot."""
    store.client.put(ContextKey("conversation", "acme", "c-7"), ExecutionContext(tenant_id="acme"))
    instrumented(trust_identity=True, turns=True)
    assert (await ask(application(), CONVERSATION))["key"].startswith("snapshot:acme:")


async def test_after_undo(store: LocalStore, entry: ContextEntry) -> None:
    """An application that has served goes on without contexts after `undo`."""
    mine = instrument(target=store.address, timeout=10, trust_http_callers=True)
    app = application()
    with use_context(entry):
        headers = context_headers()
    assert (await ask(app, headers))["user"] == "u-1"
    await mine.aundo()
    assert (await ask(app, headers))["user"] is None


async def test_several_event_loops(instrumented: Instrument, entry: ContextEntry) -> None:
    """An application that is served in several event loops, as by tests, has a client in each."""
    instrumented(trust_http_callers=True)
    app = application()
    with use_context(entry):
        headers = context_headers()
    assert (await ask(app, headers))["user"] == "u-1"
    for _ in range(2):
        answer = await asyncio.to_thread(lambda: asyncio.run(ask(app, headers)))
        assert answer["user"] == "u-1"
