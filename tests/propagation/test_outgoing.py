"""The metadata that the client's interceptors add to a call, and what they do not change."""

from collections.abc import AsyncIterator, Callable
from copy import deepcopy
from typing import Any

import grpc
import pytest
from grpc import aio
from relevo_client import (
    ContextKey,
    InvalidFieldError,
    aio_client_interceptors,
    aio_context_channel,
    use_context,
)
from support.entries import entry_of
from support.servers.services import Seen, method_of, see, seen, service

ENTRY = entry_of("one", key=ContextKey("a:b", "größe", "c d"), revision=(1 << 63) - 1)
ATTACHED = [
    ("context-key", "a%3Ab:gr%C3%B6%C3%9Fe:c%20d"),
    ("context-revision", "9223372036854775807"),
]
EMPTY: tuple[tuple[str, str], ...] = ()

METADATA_OF_OTHERS: dict[str, Any] = {
    "none": None,
    "tuple": (("x-a", "1"), ("x-b", "2")),
    "empty tuple": EMPTY,
    "list": [("x-a", "1"), ("x-b", "2")],
    "empty list": [],
    "Metadata": aio.Metadata(("x-a", "1"), ("x-b", "2")),
    "empty Metadata": aio.Metadata(),
    "duplicates": (("x-b", "2"), ("x-a", "1"), ("x-b", "2"), ("x-b", "3")),
    "binary": (("x-a-bin", b"\x00\xff"), ("x-b", "2")),
}


@pytest.fixture
async def address() -> AsyncIterator[str]:
    """A service that returns its view of a call."""
    async with service({"Do": see}) as address:
        yield address


@pytest.fixture
async def channel(address: str) -> AsyncIterator[aio.Channel]:
    """A channel with Relevo's interceptor."""
    async with aio.insecure_channel(address, interceptors=aio_client_interceptors()) as channel:
        yield channel


@pytest.fixture
async def plain(address: str) -> AsyncIterator[aio.Channel]:
    """A channel without Relevo's interceptor."""
    async with aio.insecure_channel(address) as channel:
        yield channel


async def call(channel: aio.Channel, **options: Any) -> Seen:
    """The service's view of a call."""
    return seen(await method_of(channel)(b"", timeout=5, **options))


def sent(metadata: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The sent metadata, without gRPC's own."""
    return [pair for pair in metadata if pair[0] != "user-agent"]


async def test_calls_carry_the_current_reference(channel: aio.Channel) -> None:
    """Under a context, a call has exactly one key and one revision; after the block, none."""
    with use_context(ENTRY):
        found = (await call(channel)).metadata
    assert [pair for pair in found if pair[0].startswith("context-")] == ATTACHED
    assert not [name for name, _ in (await call(channel)).metadata if name.startswith("context-")]


@pytest.mark.parametrize("given", METADATA_OF_OTHERS.values(), ids=METADATA_OF_OTHERS)
async def test_metadata_of_others_is_untouched(
    channel: aio.Channel, plain: aio.Channel, given: Any
) -> None:
    """Other metadata, in any form, arrives as without Relevo, and in front of Relevo's entries."""
    before = list(given or ())
    without = sent((await call(plain, metadata=given)).metadata)
    assert sent((await call(channel, metadata=given)).metadata) == without
    for _ in range(3):  # the caller may reuse its object: nothing accumulates in it
        with use_context(ENTRY):
            found = sent((await call(channel, metadata=given)).metadata)
        assert found == [*without, *ATTACHED]
        assert list(given or ()) == before


@pytest.mark.parametrize(
    "named",
    [
        (("context-key", "x:y:z"),),
        [("context-key", "x:y:z"), ("context-revision", "5")],
        aio.Metadata(("context-key", "x:y:z")),
        (("context-key", "not a key at all"),),
        (("context-key", ""),),
    ],
    ids=ascii,
)
async def test_a_key_that_the_call_names_wins(channel: aio.Channel, named: Any) -> None:
    """A call that names a context itself carries only that one, whatever is current."""
    with use_context(ENTRY):
        found = (await call(channel, metadata=named)).metadata
    assert [pair for pair in found if pair[0].startswith("context-")] == list(named)


async def test_a_reference_over_the_limit_is_refused_locally(channel: aio.Channel) -> None:
    """512 bytes of metadata are sent; one more byte is InvalidFieldError, and nothing is sent."""
    # 11 + 16 bytes of names and 1 byte of the revision leave 484 for the key's text.
    key = ContextKey("s" * 200, "t" * 200, "i" * 82)
    assert len(key.text) == 484
    with use_context(entry_of("u", key=key)):
        assert ("context-key", key.text) in (await call(channel)).metadata
    longer = ContextKey("s" * 200, "t" * 200, "i" * 83)
    for entry in (entry_of("u", key=longer), entry_of("u", key=key, revision=10)):
        with use_context(entry), pytest.raises(InvalidFieldError, match="512"):
            await call(channel)


async def test_the_store_gets_no_reference() -> None:
    """Calls of the store, of health checks and of reflection carry no reference."""
    for name in ("relevo.v1.ContextStore", "grpc.health.v1.Health"):
        async with service({"Do": see}, name=name) as address:
            interceptors = aio_client_interceptors()
            async with aio.insecure_channel(address, interceptors=interceptors) as channel:
                with use_context(ENTRY):
                    answer = await method_of(channel, name=name)(b"", timeout=5)
        assert not [pair for pair in seen(answer).metadata if pair in ATTACHED]


class Recorder(aio.UnaryUnaryClientInterceptor):
    """Another project's interceptor, which records its calls."""

    def __init__(self) -> None:
        self.details: list[Any] = []

    async def intercept_unary_unary(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        """Record the details, and continue the call."""
        self.details.append(client_call_details)
        return await continuation(client_call_details, request)


async def test_options_of_a_call_are_kept(address: str) -> None:
    """Timeout, credentials, wait_for_ready and compression reach the next interceptor unchanged."""
    recorder = Recorder()
    interceptors = [*aio_client_interceptors(), recorder]
    options = {
        "timeout": 4.5,
        "wait_for_ready": True,
        "compression": grpc.Compression.Gzip,
        "metadata": (("x-a", "1"),),
    }
    async with aio.insecure_channel(address, interceptors=interceptors) as channel:
        await method_of(channel)(b"", **options)  # type: ignore[arg-type]
        with use_context(ENTRY):
            await method_of(channel)(b"", **options)  # type: ignore[arg-type]
    without, details = recorder.details
    assert details.timeout == 4.5
    assert details.wait_for_ready is True
    assert details._replace(metadata=None) == without._replace(metadata=None)
    assert list(details.metadata or ()) == [*(without.metadata or ()), *ATTACHED]
    assert len(list(without.metadata or ())) == 2  # x-a, and gRPC's entry for the compression


@pytest.mark.parametrize("ours_first", [True, False], ids=["outside", "inside"])
async def test_with_interceptors_of_others(address: str, ours_first: bool) -> None:
    """The reference is sent once, with Relevo outside or inside of other interceptors."""

    class Tracing(Recorder):
        async def intercept_unary_unary(
            self, continuation: Any, client_call_details: Any, request: Any
        ) -> Any:
            metadata = aio.Metadata(*(client_call_details.metadata or ()), ("traceparent", "00-1"))
            return await continuation(client_call_details._replace(metadata=metadata), request)

    ours = aio_client_interceptors()
    interceptors = [*ours, Tracing()] if ours_first else [Tracing(), *ours]
    async with aio.insecure_channel(address, interceptors=interceptors) as channel:
        with use_context(ENTRY):
            found = (await call(channel)).metadata
    assert [pair for pair in found if pair in ATTACHED] == ATTACHED
    assert [value for name, value in found if name == "traceparent"] == ["00-1"]


USES: dict[str, Callable[[aio.Metadata], object]] = {
    "equal": lambda metadata: metadata == aio.Metadata(*ATTACHED),
    "equal, the other way": lambda metadata: aio.Metadata(*ATTACHED) == metadata,
    "length": len,
    "items": list,
    "contains": lambda metadata: [each in metadata for each in ("context-key", "x-a", *ATTACHED)],
    "get": lambda metadata: (metadata["context-key"], metadata.get("x-a", "none")),
    "get all": lambda metadata: metadata.get_all("context-revision"),
    "views": lambda metadata: (list(metadata.keys()), list(metadata.items())),
    "add": lambda metadata: metadata.add("x-a", "1"),
    "set": lambda metadata: metadata.set_all("context-key", ["x:y:z"]),
    "set first": lambda metadata: metadata.__setitem__("context-revision", "1"),
    "set to nothing": lambda metadata: metadata.set_all("context-revision", []),
    "copy": lambda metadata: list(deepcopy(metadata)),
    "no attribute": lambda metadata: (hasattr(metadata, "nothing"), list(metadata)),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
async def test_what_a_channel_adds_is_metadata_as_any(
    address: str, use: Callable[[aio.Metadata], object]
) -> None:
    """Interceptors can use the metadata of a context channel like any other.

    Their changes are sent with this call, and with no other.
    """
    found: list[tuple[object, object]] = []

    class Using(Recorder):
        async def intercept_unary_unary(
            self, continuation: Any, client_call_details: Any, request: Any
        ) -> Any:
            given, model = client_call_details.metadata, aio.Metadata(*ATTACHED)
            found.extend([(use(given), use(model)), (use(given), use(model))])
            found.append((list(given), list(model)))
            return await continuation(client_call_details, request)

    async with aio.insecure_channel(address, interceptors=[Using()]) as inner:
        channel = aio_context_channel(inner)
        for _ in range(2):
            with use_context(ENTRY):
                arrived = sent((await call(channel)).metadata)
            assert found[-1] == (arrived, found[-1][1])
    assert all(got == expected for got, expected in found)
