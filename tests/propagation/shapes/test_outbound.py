"""The metadata of a call, in every arity and for both kinds of client."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from grpc import StatusCode, aio
from relevo_client import (
    ContextKey,
    InvalidFieldError,
    aio_client_interceptors,
    aio_context_channel,
    client_interceptors,
    context_channel,
    filters,
    use_context,
)
from relevo_client.testing import RecordedCalls
from support.clients.callers import Caller, Outcome, calling
from support.clients.plays import Metadata
from support.entries import entry_of
from support.servers.hosting import SERVICE, hosted
from support.servers.relaying import ARITIES
from support.servers.scenes import Scene
from support.servers.shapes import SHAPES, Kind

ENTRY = entry_of("u", key=ContextKey("a:b", "größe", "c d"), revision=(1 << 63) - 1)
ATTACHED = [
    ("context-key", "a%3Ab:gr%C3%B6%C3%9Fe:c%20d"),
    ("context-revision", "9223372036854775807"),
]

ANY_CHANNEL: Any = None

each_kind = pytest.mark.parametrize(
    "kind, wrapped",
    [("blocking", False), ("asyncio", False), ("blocking", True), ("asyncio", True)],
    ids=["blocking", "asyncio", "blocking channel", "asyncio channel"],
)
each_arity = pytest.mark.parametrize("arity", ARITIES)


@dataclass(frozen=True)
class Destination:
    """A server that needs no context, and records the metadata of its calls."""

    address: str
    calls: RecordedCalls

    async def carried(self, caller: Caller, arity: str, **options: Any) -> Metadata:
        """The metadata of a call under the entry."""
        self.calls.clear()
        with use_context(ENTRY):
            call = caller.begin(arity, arity, **options)
        assert (await caller.outcome(arity, call)).code is StatusCode.OK
        metadata = self.calls.only(f"/{SERVICE}/{arity}").metadata
        return [
            (name, str(value)) for name, value in metadata if name.startswith(("context-", "x-"))
        ]


@pytest.fixture
async def destination() -> AsyncIterator[Destination]:
    """The server, with a method of each arity named after it."""
    calls = RecordedCalls()
    shapes = {shape.arity: shape for shape in SHAPES if shape.server == "asyncio"}
    methods = {arity: (arity, shape.make(Scene())) for arity, shape in shapes.items()}
    interceptors = [calls.aio_server_interceptor()]
    async with hosted("asyncio", methods, interceptors=interceptors) as host:
        yield Destination(host.address, calls)


@each_arity
@each_kind
async def test_exactly_one_reference(
    destination: Destination, kind: Kind, wrapped: bool, arity: str
) -> None:
    """A call has exactly one key and one revision, in text form; after the block, it has none."""
    async with calling(kind, destination.address, wrapped=wrapped) as caller:
        assert await destination.carried(caller, arity) == ATTACHED
        destination.calls.clear()
        await caller.outcome(arity, caller.begin(arity, arity))
        assert destination.calls.only().ref is None


@pytest.mark.parametrize(
    "given",
    [
        None,
        (),
        (("x-b", "2"), ("x-a", "1"), ("x-b", "2")),
        [("x-b", "2"), ("x-a", "1"), ("x-b", "2")],
        aio.Metadata(("x-b", "2"), ("x-a", "1"), ("x-b", "2")),
    ],
    ids=["None", "empty", "tuple", "list", "Metadata"],
)
@each_arity
@each_kind
async def test_metadata_of_others(
    destination: Destination, kind: Kind, wrapped: bool, arity: str, given: Any
) -> None:
    """Other metadata keeps its order and duplicates, and the caller's object is not changed."""
    before = list(given or ())
    async with calling(kind, destination.address, interceptors=()) as caller:
        without = await destination.carried(caller, arity, metadata=given)
    async with calling(kind, destination.address, wrapped=wrapped) as caller:
        for _ in range(2):
            found = await destination.carried(caller, arity, metadata=given)
            assert [pair for pair in found if pair not in ATTACHED] == without
            assert [pair for pair in found if pair in ATTACHED] == ATTACHED
            assert list(given or ()) == before


@pytest.mark.parametrize("named", ["x:y:z", "not a key"])
@each_arity
@each_kind
async def test_the_key_that_a_call_names_wins(
    destination: Destination, kind: Kind, wrapped: bool, arity: str, named: str
) -> None:
    """A call that names a context itself carries only that one, whatever is current."""
    given = (("context-key", named),)
    async with calling(kind, destination.address, wrapped=wrapped) as caller:
        assert await destination.carried(caller, arity, metadata=given) == list(given)


@each_arity
@each_kind
async def test_a_reference_over_the_limit(
    destination: Destination, kind: Kind, wrapped: bool, arity: str
) -> None:
    """A reference above the limit is refused locally with its reason, and nothing is sent."""
    key = ContextKey("s" * 200, "t" * 200, "i" * 83)

    async def call(caller: Caller) -> Outcome:
        with use_context(entry_of("u", key=key)):
            begun = caller.begin(arity, arity)
        return await caller.outcome(arity, begun)

    async with calling(kind, destination.address, wrapped=wrapped) as caller:
        with pytest.raises(InvalidFieldError, match="512"):
            await call(caller)
    assert destination.calls.all() == []


@pytest.mark.parametrize(
    "allow, is_allowed",
    [
        (("*.internal:*",), True),
        (("*.example.com:*", "orders.internal:443"), True),
        (("*.example.com:*",), False),
        (("*.INTERNAL:*",), False),
        ((), False),
    ],
    ids=str,
)
@each_arity
@each_kind
async def test_the_allowlist(
    destination: Destination,
    kind: Kind,
    wrapped: bool,
    arity: str,
    allow: Sequence[str],
    is_allowed: bool,
) -> None:
    """If no pattern matches a channel's target, no reference is added; a call's own one stays."""
    rules: dict[str, Any] = {"target": "orders.internal:443", "allow": allow}
    async with calling(kind, destination.address, wrapped=wrapped, **rules) as caller:
        found = await destination.carried(caller, arity)
        assert found == (ATTACHED if is_allowed else [])
        named = (("context-key", "x:y:z"),)
        assert await destination.carried(caller, arity, metadata=named) == list(named)


@pytest.mark.parametrize(
    "make",
    [
        client_interceptors,
        aio_client_interceptors,
        partial(context_channel, ANY_CHANNEL),
        partial(aio_context_channel, ANY_CHANNEL),
    ],
)
def test_an_allowlist_needs_a_target(make: Any) -> None:
    """Patterns without a target are an error, not an allowlist that allows every call."""
    with pytest.raises(ValueError, match="target"):
        make(allow=["*"])


@each_arity
@each_kind
async def test_exempt_methods(
    destination: Destination, kind: Kind, wrapped: bool, arity: str
) -> None:
    """Calls of exempt methods carry no reference; other calls do."""
    exempt = filters.method(f"/{SERVICE}/unary_unary")
    async with calling(kind, destination.address, wrapped=wrapped, exempt=exempt) as caller:
        found = await destination.carried(caller, arity)
        assert found == ([] if arity == "unary_unary" else ATTACHED)


def test_filters_combine() -> None:
    """Each filter selects the methods of its definition, and combinations follow logic."""
    orders, place = filters.service("shop.v1.Orders"), filters.method("/shop.v1.Orders/Place")
    shop = filters.prefix("/shop.")
    table = {
        "/shop.v1.Orders/Place": (True, True, True),
        "/shop.v1.Orders/Cancel": (True, False, True),
        "/shop.v1.OrdersAdmin/Place": (False, False, True),
        "/store.v1.Orders/Place": (False, False, False),
        "": (False, False, False),
    }
    for name, (of_orders, is_place, of_shop) in table.items():
        assert (orders(name), place(name), shop(name)) == (of_orders, is_place, of_shop)
        assert filters.not_(orders)(name) is not of_orders
        assert filters.any_of(place, filters.not_(shop))(name) is (is_place or not of_shop)
        assert filters.all_of(orders, filters.not_(place))(name) is (of_orders and not is_place)
        assert filters.any_of()(name) is False
        assert filters.all_of()(name) is True
