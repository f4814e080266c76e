"""A request's span describes the context that the middleware has found."""

from collections.abc import Sequence
from typing import Any

from opentelemetry import trace
from relevo_client import AsyncContextClient, ContextKey, ExecutionContext
from relevo_client.asgi import ContextMiddleware
from relevo_client.testing import LocalStore
from support.servers.asgi import ask, see
from support.telemetry import recorded
from support.telemetry.recorded import Meters, Spans

NAMING = [("x-tenant-id", "acme"), ("x-conversation-id", "c-1")]


def nobody(_: object, __: object) -> bool:
    """Authorizes no reference."""
    return False


async def answered(app: Any, headers: Any, spans: Spans) -> Any:
    """Ask within a server's span, and return that."""
    spans.clear()
    with trace.get_tracer("test").start_as_current_span("GET /"):
        await ask(app, headers)
    return spans.finished("test")[0]


async def test_the_span_of_a_request(store: LocalStore, spans: Spans) -> None:
    """The context's revision, source and age are attributes; a request without one has none."""
    key = ContextKey("conversation", "acme", "c-1")
    ref = store.client.put(key, ExecutionContext(tenant_id="acme", user_id="u-1"))
    async with AsyncContextClient(store.address, timeout=10) as contexts:
        app = ContextMiddleware(see, contexts)
        about = (await answered(app, NAMING, spans)).attributes
        assert about["relevo.context.revision"] == ref.revision
        assert about["relevo.context.source"] in ("store", "near_cache")
        assert about["relevo.context.age"] < 10
        assert "relevo.context.key" not in about
        assert not (await answered(app, [], spans)).attributes


async def test_references(store: LocalStore) -> None:
    """References in headers count as those of calls do; a conversation's headers are none."""
    ref = store.client.put(
        ContextKey("conversation", "acme", "c-1"), ExecutionContext(tenant_id="acme")
    )
    naming = [("context-key", ref.key.text), ("context-revision", str(ref.revision))]
    malformed = [("context-key", "no key at all")]
    meters: Meters = recorded.meters()
    async with AsyncContextClient(store.address, timeout=10) as contexts:
        cases: Sequence[tuple[dict[str, Any], Any, str | None]] = (
            ({"trust_callers": True}, naming, "propagated"),
            ({}, naming, "ignored"),
            ({"trust_callers": True}, malformed, "refused"),
            ({"trust_callers": True, "authorize": nobody}, naming, "refused"),
            ({"trust_callers": True}, NAMING, None),
        )
        for rules, headers, outcome in cases:
            before = meters.figures()
            await ask(ContextMiddleware(see, contexts, **rules), headers)
            counted = meters.figures().since(before)
            received = counted.total("relevo.client.references", relevo__direction="received")
            assert received == (outcome is not None)
            if outcome:
                about = {"relevo__direction": "received", "relevo__outcome": outcome}
                assert counted.total("relevo.client.references", **about) == 1
