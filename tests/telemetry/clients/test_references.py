"""References count when they go out and when they come in: used, ignored or refused."""

from typing import Any

import grpc
import pytest
from relevo_client import (
    ContextKey,
    ExecutionContext,
    InvalidFieldError,
    aio_client_interceptors,
    aio_context_channel,
    context_headers,
    use_context,
)
from relevo_client.actions import DomainAction, stamp
from relevo_client.testing import LocalStore
from support.clients.actions import action_of, binding
from support.clients.caching import caching
from support.clients.either import KEY, KINDS
from support.clients.plays import UNARY_SHAPES, naming, play
from support.servers.services import method_of, see, service
from support.servers.shapes import Kind, Shape
from support.telemetry.recorded import Figures, Meters

REFERENCES = "relevo.client.references"

each_shape = pytest.mark.parametrize("shape", UNARY_SHAPES, ids=str)


def nobody(_: object, __: object) -> bool:
    """Authorizes no reference."""
    return False


def only(figures: Figures, direction: str, outcome: str, number: int = 1) -> bool:
    """Whether these references were counted, and no others."""
    about = {"relevo__direction": direction, "relevo__outcome": outcome}
    return figures.total(REFERENCES, **about) == figures.total(REFERENCES) == number


@each_shape
async def test_received(store: LocalStore, meters: Meters, shape: Shape) -> None:
    """A reference is used, ignored as its caller is not trusted, or refused."""
    ref = store.client.put(KEY, ExecutionContext())
    metadata = naming(ref)
    malformed = [("context-key", "no key at all")]
    async with caching(store.address) as clients:

        async def counted(metadata: Any, **rules: Any) -> Figures:
            before = meters.figures()
            await play(shape, clients.interceptor(shape.server, **rules), metadata)
            return meters.figures().since(before)

        assert only(await counted(metadata, trust_callers=True), "received", "propagated")
        assert only(await counted(metadata), "received", "ignored")
        assert only(await counted(malformed, trust_callers=True), "received", "refused")
        rules: dict[str, Any] = {"trust_callers": True, "authorize": nobody}
        assert only(await counted(metadata, **rules), "received", "refused")
        assert not (await counted([], trust_callers=True)).total(REFERENCES)


async def test_sent(store: LocalStore, meters: Meters) -> None:
    """A reference that a call, an HTTP request or an action carries counts as sent."""
    store.client.put(KEY, ExecutionContext())
    entry = store.client.resolve(KEY)
    interceptors = aio_client_interceptors()
    async with (
        service({"Do": see}) as address,
        grpc.aio.insecure_channel(address) as plain,
        grpc.aio.insecure_channel(address, interceptors=interceptors) as intercepted,
    ):
        before = meters.figures()
        for channel in (intercepted, aio_context_channel(plain), plain):
            with use_context(entry):
                await method_of(channel)(b"")
            await method_of(channel)(b"")
        assert only(meters.figures().since(before), "sent", "propagated", 2)
    before = meters.figures()
    with use_context(entry):
        context_headers()
        stamp(DomainAction(action_type="a.b.c"))
    context_headers()
    stamp(DomainAction(action_type="a.b.c"))
    assert only(meters.figures().since(before), "sent", "propagated", 2)


def test_what_cannot_be_sent(store: LocalStore, meters: Meters) -> None:
    """A reference that no metadata has room for counts as refused."""
    key = ContextKey("conversation", "acme", "%" * 200)
    store.client.put(key, ExecutionContext())
    before = meters.figures()
    with use_context(store.client.resolve(key)), pytest.raises(InvalidFieldError):
        context_headers()
    assert only(meters.figures().since(before), "sent", "refused")


@pytest.mark.parametrize("kind", KINDS)
async def test_of_actions(store: LocalStore, meters: Meters, kind: Kind) -> None:
    """The reference of an action counts when it is handled; another tenant's is refused."""
    ref = store.client.put(KEY, ExecutionContext())
    async with caching(store.address) as clients:
        before = meters.figures()
        async with binding(kind, clients, action_of(ref)):
            pass
        assert only(meters.figures().since(before), "received", "propagated")
        before = meters.figures()
        with pytest.raises(InvalidFieldError):
            async with binding(kind, clients, action_of(ref, tenant_id="other")):
                pass
        assert only(meters.figures().since(before), "received", "refused")
