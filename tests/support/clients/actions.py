"""Actions for tests, and one interface to both ways of binding them."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from opentelemetry import trace
from relevo_client import ContextKey, ContextRef, current_context, current_ref
from relevo_client.actions import DomainAction, aio_bound, bound

from support.servers.hosting import StoreClients
from support.servers.shapes import Kind


def action_of(ref: ContextRef | None = None, **fields: Any) -> DomainAction:
    """An action with this reference, and by default its tenant."""
    given: dict[str, Any] = {"action_type": "query.search.run", "context_ref": ref}
    if ref:
        given["tenant_id"] = ref.key.tenant_id
    return DomainAction(**{**given, **fields})


@asynccontextmanager
async def binding(
    kind: Kind, clients: StoreClients, action: DomainAction, **rules: Any
) -> AsyncGenerator[None, None]:
    """Bind an action with the client of this kind."""
    if kind == "blocking":
        with bound(action, clients.blocking, **rules):
            yield
    else:
        async with aio_bound(action, clients.asyncio, **rules):
            yield


def user() -> str | None:
    """The user of the current context, or None."""
    context = current_context()
    return context.user_id if context else None


def current_key() -> ContextKey | None:
    """The key that calls from here carry."""
    ref = current_ref()
    return ref.key if ref else None


def trace_id() -> int:
    """The id of the current trace, 0 for none."""
    return trace.get_current_span().get_span_context().trace_id
