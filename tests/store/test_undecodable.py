"""Arbitrary bytes: each call ends with a status of the contract, and a small one."""

import logging
import math
from collections.abc import AsyncIterator

import pytest
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from grpc import StatusCode
from hypothesis import example, given
from hypothesis import strategies as st
from relevo.admin.v1.admin_pb2 import (
    ChangesRequest,
    ExplainRequest,
    GetUsageRequest,
    ListClientsRequest,
    ListKeysRequest,
)
from relevo.v1.context_pb2 import ContextKey
from relevo.v1.store_pb2 import (
    BatchGetRequest,
    ContextKeys,
    GetRequest,
    InvalidateRequest,
    LeaseRequest,
    PutRequest,
    ReleaseRequest,
    SnapshotRequest,
    Subscribe,
    TenantSelector,
    Touch,
    Unsubscribe,
    WatchRequest,
)
from relevo_server.keys import Key
from relevo_server.server import Server
from relevo_server.settings import Settings
from store.any_requests import STRATEGIES
from store.nesting import put_of
from support.clients.access import principal
from support.clients.calls import context, key
from support.clients.raw import METHODS, RawClient, raw_client
from support.failures import Failure
from support.servers.statuses import EVERY_ERROR
from support.strategies import on_real_servers

CODES = {each.code for each in EVERY_ERROR}


@pytest.fixture
def store_url() -> str:
    """Memory, as requests are parsed alike for every backend."""
    return "memory://"


@pytest.fixture
async def client(server: Server, caplog: pytest.LogCaptureFixture) -> AsyncIterator[RawClient]:
    """A client that sends any bytes. Its requests must not cause log records."""
    async with raw_client(server.address) as client:
        yield client
    for when in ("setup", "call"):
        logged = [each for each in caplog.get_records(when) if each.levelno >= logging.WARNING]
        # What operators do is told, and any bytes may be a request to do it.
        assert not [each for each in logged if "tenant.shredded" not in str(each.msg)]


async def refusal(client: RawClient, method: str, data: bytes) -> Failure:
    """The refusal of bytes that are not a request."""
    failure = await client.send(method, data)
    assert failure
    assert (failure.code, failure.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert failure.violations
    assert all(field and description for field, description in failure.violations)
    # The error has no details of the server's implementation.
    for word in ("Error", "pb2", "protobuf", "Request", "class", "Unexpected"):
        assert word not in failure.message
    return failure


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "data",
    [b"\xff", b"\x00", b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x05ab", b"\x0b", b"\xff" * 1000],
    ids=["no tag", "field 0", "a length of 4 GiB", "truncated", "a group", "much"],
)
async def test_bytes_that_are_no_message(client: RawClient, method: str, data: bytes) -> None:
    """Bytes that do not decode are INVALID_ARGUMENT, with ErrorInfo and the field."""
    assert (await refusal(client, method, data)).fields == ["request"]


async def test_a_stream_ends_at_bytes_that_are_no_message(client: RawClient) -> None:
    """A Watch ends at bytes that do not decode, even after valid requests."""
    subscribe = WatchRequest(subscribe=Subscribe(key=key(), number=1)).SerializeToString()
    failure = await client.send("Watch", subscribe, b"\xff")
    assert failure
    assert failure.violations == (("request", "cannot be read as what the method takes"),)


def broken(message: Message, text: str) -> bytes:
    """A message of this type with a text that is not UTF-8."""
    data = message.SerializeToString()
    assert data.count(text.encode()) == 1
    return data.replace(text.encode(), b"\xff" * len(text))


BROKEN = key("#")


@pytest.mark.parametrize(
    "method, message, path",
    [
        ("Get", GetRequest(key=key("#")), "key.id"),
        ("Get", GetRequest(key=key(scope="#")), "key.scope"),
        ("BatchGet", BatchGetRequest(requests=[GetRequest(), GetRequest(key=BROKEN)]),
         "requests[1].key.id"),
        ("Put", PutRequest(request_id="#"), "request_id"),
        ("Put", PutRequest(context=context(user_id="#")), "context.user_id"),
        ("Put", PutRequest(context=context(includes=[key(), BROKEN])), "context.includes[1].id"),
        ("Put", PutRequest(context=context(llm_config={"#": 1})), "context.llm_config"),
        ("Put", PutRequest(update_mask={"paths": ["#"]}), "update_mask"),
        ("Invalidate", InvalidateRequest(keys=ContextKeys(keys=[BROKEN])), "keys.keys[0].id"),
        ("Invalidate", InvalidateRequest(tenant=TenantSelector(scope="#")), "tenant.scope"),
        ("Lease", LeaseRequest(request_id="#"), "request_id"),
        ("Release", ReleaseRequest(lease_token="#"), "lease_token"),  # noqa: S106
        ("Snapshot", SnapshotRequest(key=BROKEN), "key.id"),
        ("Watch", WatchRequest(subscribe=Subscribe(key=BROKEN)), "subscribe.key.id"),
        ("Watch", WatchRequest(unsubscribe=Unsubscribe(key=BROKEN)), "unsubscribe.key.id"),
        ("Watch", WatchRequest(touch=Touch(key=BROKEN)), "touch.key.id"),
        ("Explain", ExplainRequest(key=BROKEN), "key.id"),
        ("GetUsage", GetUsageRequest(tenant_id="#"), "tenant_id"),
        ("ListClients", ListClientsRequest(service_name="#"), "service_name"),
        ("Changes", ChangesRequest(key=BROKEN), "key.id"),
        ("Changes", ChangesRequest(tenant=TenantSelector(scope="#")), "tenant.scope"),
        ("ListKeys", ListKeysRequest(page_token="#"), "page_token"),  # noqa: S106
    ],
)  # fmt: skip
async def test_texts_that_are_none(
    client: RawClient, method: str, message: Message, path: str
) -> None:
    """A text that is not UTF-8 is refused by its path, or by its section's."""
    assert (await refusal(client, method, broken(message, "#"))).fields == [path]


@pytest.mark.parametrize("kind", ["object", "list"])
@pytest.mark.parametrize("depth", [1, 5, 32, 33, 34, 48, 49, 50, 51, 100, 5000])
async def test_nesting(client: RawClient, kind: str, depth: int) -> None:
    """Nesting beyond 32 levels is refused by its path, or by its section's."""
    data = put_of(kind, depth)
    if depth <= 32:
        assert await client.send("Put", data) is None
    else:
        (path,) = (await refusal(client, "Put", data)).fields
        step = ".a" if kind == "object" else "[0]"
        exact = "context.llm_config.a" + step * 31
        assert path == (exact if depth < 34 else path)
        assert path in (exact, "context.llm_config")


async def test_all_that_is_wrong_is_told(client: RawClient) -> None:
    """All violations that can be told apart are named, even in an undecodable request."""
    request = PutRequest(
        key=key("#"),
        context=context(user_id="#", llm_config={"a": math.nan}, rag_config={"#": 1}),
    )
    data = request.SerializeToString().replace(b"#", b"\xff")
    fields = (await refusal(client, "Put", data)).fields
    assert fields == ["key.id", "context.user_id", "context.llm_config.a", "context.rag_config"]


@pytest.mark.parametrize(
    "items, fields", [(10, ["key.id", "context.llm_config.a[0]"]), (200_000, ["key.id"])]
)
async def test_large_requests_are_not_searched(
    client: RawClient, items: int, fields: list[str]
) -> None:
    """The values of an undecodable request are examined only if it is small.

    To examine them takes a hundred times as long as to decode them.
    """
    numbers = ListValue(values=[Value(number_value=math.nan), *[Value(bool_value=True)] * items])
    section = Struct(fields={"a": Value(list_value=numbers)})
    request = PutRequest(key=key("#"), context=context(llm_config=section))
    assert (await refusal(client, "Put", broken(request, "#"))).fields == fields


async def test_the_caller_comes_first(settings: Settings) -> None:
    """A request of a caller without access is not parsed."""
    known = settings.model_copy(update={"principals": (principal("t", "acme"),)})
    async with Server(known) as server, raw_client(server.address) as client:
        for method in METHODS:
            failure = await client.send(method, b"\xff")
            assert failure
            assert failure.code is StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("count", [19, 20, 21, 500, 50_000])
async def test_many_violations(client: RawClient, count: int) -> None:
    """As many violations as fit into a status are named, up to 20; up to 20,000 are counted."""
    nothings = ListValue(values=[Value()] * count)
    section = Struct(fields={"a": Value(list_value=nothings)})
    request = PutRequest(key=key(), context=context(llm_config=section))
    failure = await refusal(client, "Put", request.SerializeToString())
    told = len(failure.violations)
    assert 10 <= told <= 20
    assert failure.fields == [f"context.llm_config.a[{i}]" for i in range(told)]
    left_out = min(count - told, 20_000)
    assert failure.metadata == ({"violations_left_out": str(left_out)} if left_out else {})
    assert failure.message.endswith(f"; and {left_out} more") == bool(left_out)
    assert failure.message.count(": must have a value") == told


LONG: dict[str, tuple[str, Message, list[str]]] = {
    "a key of a section": (
        "Put",
        PutRequest(key=key(), context=context(llm_config={"n" * 200_000: {"é%": math.nan}})),
        ["context.llm_config." + "n" * (512 - 19 - 3) + "..."],
    ),
    "keys of a section, percent-encoded": (
        "Put",
        PutRequest(key=key(), context=context(llm_config={"😀%" * 1000: math.nan})),
        ["context.llm_config." + "😀%" * 32 + "..."],
    ),
    "a path of a mask": (
        "Put",
        PutRequest(key=key(), context=context(), update_mask={"paths": ["x" * 200_000]}),
        ["update_mask"],
    ),
    "includes": (
        "Put",
        PutRequest(key=key(), context=context(includes=[ContextKey()] * 100_000)),
        ["context.includes"],
    ),
    "keys": (
        "Invalidate",
        InvalidateRequest(keys=ContextKeys(keys=[ContextKey()] * 100_000)),
        ["keys.keys"],
    ),
    "parts of a key": ("Get", GetRequest(key=key("x" * 500_000, scope="\0" * 99)), ["key.scope"]),
}


@pytest.mark.parametrize("method, message, fields", LONG.values(), ids=LONG.keys())
async def test_long_requests_have_short_refusals(
    client: RawClient, method: str, message: Message, fields: list[str]
) -> None:
    """A refusal quotes only the beginning of a client's values."""
    failure = await refusal(client, method, message.SerializeToString())
    assert failure.fields[: len(fields)] == fields


@pytest.mark.parametrize("part", ["x", "é", "😀", "%", ":"])
async def test_the_longest_key(client: RawClient, part: str) -> None:
    """The metadata of an error has even the longest key in full."""
    longest = part * (256 // len(part.encode()))
    message = GetRequest(key=ContextKey(scope=longest, tenant_id=longest, id=longest))
    failure = await client.send("Get", message.SerializeToString())
    assert failure
    assert failure.reason == "NO_ENTRY"
    assert failure.metadata == {"key": str(Key(longest, longest, longest))}


@st.composite
def spoilt(draw: st.DrawFn) -> tuple[str, bytes]:
    """Bytes for a method: another method's request, a truncated or damaged one, or random ones."""
    method = draw(st.sampled_from(METHODS))
    message = draw(STRATEGIES[method] | STRATEGIES[draw(st.sampled_from(METHODS))])
    data = message.SerializeToString()
    match draw(st.sampled_from(["whole", "cut", "spoilt", "chance"])):
        case "cut":
            data = data[: draw(st.integers(0, len(data)))]
        case "spoilt" if data:
            at = draw(st.integers(0, len(data) - 1))
            data = data[:at] + draw(st.binary(min_size=1, max_size=3)) + data[at + 1 :]
        case "chance":
            data = draw(st.binary(max_size=40))
        case _:
            pass
    return method, data


@on_real_servers
@given(requests=st.lists(spoilt(), min_size=10, max_size=10))
@example(requests=[(method, b"") for method in METHODS])
async def test_any_bytes(client: RawClient, requests: list[tuple[str, bytes]]) -> None:
    """Any bytes sent to any method are answered, or refused with a status of the contract."""
    for method, data in requests:
        failure = await client.send(method, data)
        assert failure is None or failure.code in CODES
        assert failure is None or failure.reason != "INTERNAL"
