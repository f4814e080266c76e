"""Malformed requests: every rule, each named by the path of its field."""

import math
from collections.abc import Awaitable
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode, aio
from relevo.v1.context_pb2 import ContextKey, ContextRef, ExecutionContext
from relevo.v1.store_pb2 import (
    BatchGetRequest,
    ContextKeys,
    GetRequest,
    InvalidateRequest,
    PutRequest,
    TenantSelector,
)
from relevo_server.storage import Storage
from support.clients.calls import TIMEOUT, Stub, context, get, key, masked, put, seconds
from support.failures import Failure, failure_of

Request = GetRequest | BatchGetRequest | PutRequest | InvalidateRequest

BAD_PARTS = {
    "empty": "",
    "257 bytes": "x" * 257,
    "257 bytes in 129 characters": "é" * 128 + "x",
    "newline": "a\nb",
    "NUL": "\0",
    "tab": "\t",
    "escape": "\x1b",
    "delete": "\x7f",
    "a C1 control": "\x85",
}
PARTS = ("scope", "tenant_id", "id")


def send(stub: Stub, request: Request) -> Awaitable[object]:
    """Send a request to the method that it belongs to."""
    match request:
        case GetRequest():
            return stub.Get(request, timeout=TIMEOUT)
        case BatchGetRequest():
            return stub.BatchGet(request, timeout=TIMEOUT)
        case PutRequest():
            return stub.Put(request, timeout=TIMEOUT)
        case InvalidateRequest():
            return stub.Invalidate(request, timeout=TIMEOUT)


async def refusal(stub: Stub, storage: Storage, request: Request) -> Failure:
    """How a malformed request is refused. It must not have written anything."""
    failure = await failure_of(send(stub, request))
    assert (failure.code, failure.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert all(description for _, description in failure.violations)
    assert not (await storage.tail(storage.partition_of("acme"), 0, 1)).events
    return failure


def bad_key(part: str, text: str) -> ContextKey:
    """A key with one malformed part."""
    bad = key()
    setattr(bad, part, text)
    return bad


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("text", BAD_PARTS.values(), ids=BAD_PARTS.keys())
async def test_keys(storage_stub: Stub, storage: Storage, part: str, text: str) -> None:
    """Each part of a key has 1 to 256 bytes without control characters, wherever it stands."""
    bad = bad_key(part, text)
    for request, path in (
        (GetRequest(key=bad), "key"),
        (PutRequest(key=bad, context=context()), "key"),
        (InvalidateRequest(keys=ContextKeys(keys=[key("c2"), bad])), "keys.keys[1]"),
        (PutRequest(key=key(), context=context(includes=[key("c2"), bad])), "context.includes[1]"),
    ):
        failure = await refusal(storage_stub, storage, request)
        assert f"{path}.{part}" in failure.fields
        # A key of another tenant breaks a rule of its own.
        assert set(failure.fields) <= {f"{path}.{part}", f"{path}.tenant_id"}


async def test_all_broken_rules_are_named_at_once(storage_stub: Stub, storage: Storage) -> None:
    """One answer names every malformed field of a request."""
    request = PutRequest(
        key=key("", scope="\n"),
        context=context(tenant_id="globex", llm_config={"a": math.nan}, includes=[ContextKey()]),
        ttl=seconds(0),
        if_version=-1,
        request_id="x" * 129,
        update_mask=masked("nope"),
    )
    failure = await refusal(storage_stub, storage, request)
    assert set(failure.fields) == {
        "key.scope",
        "key.id",
        "context.tenant_id",
        "context.includes[0].scope",
        "context.includes[0].tenant_id",
        "context.includes[0].id",
        "context.llm_config.a",
        "ttl",
        "if_version",
        "request_id",
        "update_mask",
    }
    assert failure.message.count(";") == len(failure.violations) - 1


@pytest.mark.parametrize(
    "request_, fields",
    [
        pytest.param(GetRequest(), ["key.scope", "key.tenant_id", "key.id"], id="no key"),
        pytest.param(
            GetRequest(key=key(), min_revision=-1), ["min_revision"], id="negative min_revision"
        ),
        pytest.param(
            GetRequest(key=key(), known_version=-1), ["known_version"], id="negative known_version"
        ),
        pytest.param(
            GetRequest.FromString(GetRequest(key=key()).SerializeToString() + b"\x18\x63"),
            ["consistency"],
            id="consistency that nobody knows",
        ),
    ],
)
async def test_get(
    storage_stub: Stub, storage: Storage, request_: GetRequest, fields: list[str]
) -> None:
    """The rules of a Get hold in a BatchGet too, where they are the result's error."""
    failure = await refusal(storage_stub, storage, request_)
    assert failure.fields == fields
    response = await storage_stub.BatchGet(BatchGetRequest(requests=[request_]), timeout=TIMEOUT)
    assert response.results[0].error.code == StatusCode.INVALID_ARGUMENT.value[0]
    assert response.results[0].error.message == failure.message


@pytest.mark.parametrize("count", [0, 101])
async def test_batches(storage_stub: Stub, storage: Storage, count: int) -> None:
    """A BatchGet has 1 to 100 Gets."""
    request = BatchGetRequest(requests=[GetRequest(key=key())] * count)
    failure = await refusal(storage_stub, storage, request)
    assert failure.fields == ["requests"]
    assert str(count) in failure.message


def value_in(value: Value | None) -> ExecutionContext:
    """A context with a value deep within a section, None for one without a kind."""
    found = value or Value()
    inner = Struct(
        fields={"b": Value(list_value=ListValue(values=[Value(bool_value=True), found]))}
    )
    return context(rag_config=Struct(fields={"a": Value(struct_value=inner)}))


DEEP = "context.rag_config.a.b[1]"


@pytest.mark.parametrize(
    "change, fields",
    [
        pytest.param({"context": None}, ["context"], id="no context"),
        pytest.param(
            {"context": context(tenant_id="globex")}, ["context.tenant_id"], id="another tenant"
        ),
        pytest.param(
            {"context": context(includes=[key(f"a{i}") for i in range(17)])},
            ["context.includes"],
            id="17 includes",
        ),
        pytest.param(
            {"context": context(includes=[key("a1"), key("a2", tenant="globex")])},
            ["context.includes[1].tenant_id"],
            id="an include of another tenant",
        ),
        pytest.param(
            {"context": context(includes=[key("a1"), key()])},
            ["context.includes[1]"],
            id="itself as an include",
        ),
        pytest.param(
            {"context": context(composed_from=[ContextRef(key=key("a1"), revision=1)] * 18)},
            ["context.composed_from"],
            id="composed from 18 entries",
        ),
        pytest.param(
            {"context": context(composed_from=[ContextRef(key=key("a1", tenant="globex"))])},
            ["context.composed_from[0].key.tenant_id", "context.composed_from[0].revision"],
            id="composed from no version of another tenant's",
        ),
        pytest.param(
            {"context": context(includes=[key("a1"), key("a2"), key("a1")])},
            ["context.includes[2]"],
            id="an include twice",
        ),
        pytest.param(
            {"context": value_in(Value(number_value=math.nan))}, [DEEP], id="not a number"
        ),
        pytest.param({"context": value_in(Value(number_value=math.inf))}, [DEEP], id="infinity"),
        pytest.param(
            {"context": value_in(Value(number_value=-math.inf))}, [DEEP], id="minus infinity"
        ),
        pytest.param({"context": value_in(None)}, [DEEP], id="a value without a kind"),
        pytest.param(
            {"context": context(create_time=Timestamp(nanos=1))},
            ["context.create_time.nanos"],
            id="a time finer than a microsecond",
        ),
        pytest.param(
            {"context": context(create_time=Timestamp(nanos=-1000))},
            ["context.create_time.nanos"],
            id="negative nanoseconds",
        ),
        pytest.param(
            {"context": context(create_time=Timestamp(nanos=1_000_000_000))},
            ["context.create_time.nanos"],
            id="a second of nanoseconds",
        ),
        pytest.param(
            {"context": context(create_time=Timestamp(seconds=-62_135_596_801))},
            ["context.create_time.seconds"],
            id="before year 1",
        ),
        pytest.param(
            {"context": context(create_time=Timestamp(seconds=253_402_300_800))},
            ["context.create_time.seconds"],
            id="after year 9999",
        ),
        pytest.param({"ttl": Duration()}, ["ttl"], id="no time to live"),
        pytest.param({"ttl": Duration(seconds=-1)}, ["ttl"], id="a negative ttl"),
        pytest.param({"ttl": Duration(nanos=-1)}, ["ttl"], id="a ttl of negative nanoseconds"),
        pytest.param({"ttl": Duration(seconds=1, nanos=-1)}, ["ttl"], id="a ttl of two signs"),
        pytest.param(
            {"ttl": Duration(nanos=1_000_000_000)}, ["ttl"], id="a ttl with too many nanoseconds"
        ),
        pytest.param(
            {"ttl": Duration(seconds=86_400, nanos=1)}, ["ttl"], id="a ttl over the maximum"
        ),
        pytest.param({"ttl": Duration(seconds=2**63 - 1)}, ["ttl"], id="a ttl for ever"),
        pytest.param({"if_version": 0}, ["if_version"], id="version 0"),
        pytest.param({"if_version": -(2**63)}, ["if_version"], id="a negative version"),
        pytest.param({"if_absent": False}, ["if_absent"], id="if_absent that is false"),
        pytest.param(
            {"if_absent": True, "update_mask": masked("user_id")},
            ["if_absent"],
            id="if_absent with a mask",
        ),
        pytest.param({"lease_token": ""}, ["lease_token"], id="an empty token"),
        pytest.param({"request_id": "x" * 129}, ["request_id"], id="a request_id of 129 bytes"),
        pytest.param(
            {"request_id": "é" * 65},
            ["request_id"],
            id="a request_id of 130 bytes in 65 characters",
        ),
    ],
)
async def test_put(
    storage_stub: Stub, storage: Storage, change: dict[str, Any], fields: list[str]
) -> None:
    """The rules of a Put, one by one."""
    fields_given: dict[str, Any] = {"key": key(), "context": context(), **change}
    request = PutRequest(**fields_given)
    assert (await refusal(storage_stub, storage, request)).fields == fields


@pytest.mark.parametrize(
    "section",
    ["llm_config", "embedding_config", "rag_config", "agent_config", "metadata", "rate_limits"],
)
async def test_every_section_is_looked_at(
    storage_stub: Stub, storage: Storage, section: str
) -> None:
    """A number that JSON does not have is found in each of the sections."""
    request = PutRequest(key=key(), context=context(**{section: {"a": math.inf}}))
    failure = await refusal(storage_stub, storage, request)
    assert failure.fields == [f"context.{section}.a"]


@pytest.mark.parametrize(
    "paths",
    [
        [""],
        ["nope"],
        ["nope.model"],
        ["UserId"],
        ["userId"],
        [" user_id"],
        ["user_id "],
        ["user_id.x"],
        ["includes.x"],
        ["create_time.seconds"],
        ["update_time"],
        ["llm_config."],
        [".llm_config"],
        ["llm_config..a"],
        ["llm_config.a-b"],
        ["llm_config.1a"],
        ["llm_config.größe"],
        ["llm_config.`"],
        ["``"],
        ["llm_config.`a"],
        ["llm_config.`a`b"],
        ["llm_config.`a``"],
        ["llm_config.a.*"],
        ["*", "user_id"],
        ["user_id", "nope"],
    ],
    ids=lambda paths: ",".join(paths) or "empty",
)
async def test_masks(storage_stub: Stub, storage: Storage, paths: list[str]) -> None:
    """A path names a field of a context, or a key within a section; anything else is refused."""
    request = PutRequest(key=key(), context=context(), update_mask=masked(*paths))
    assert (await refusal(storage_stub, storage, request)).fields == ["update_mask"]


@pytest.mark.parametrize(
    "request_, fields",
    [
        pytest.param(InvalidateRequest(), ["target"], id="nothing"),
        pytest.param(InvalidateRequest(keys=ContextKeys()), ["keys.keys"], id="no keys"),
        pytest.param(
            InvalidateRequest(keys=ContextKeys(keys=[key()]), request_id="é" * 65),
            ["request_id"],
            id="keys with a request_id of 130 bytes",
        ),
        pytest.param(
            InvalidateRequest(tenant=TenantSelector(tenant_id="acme"), request_id="x" * 129),
            ["request_id"],
            id="a tenant with a request_id of 129 bytes",
        ),
        pytest.param(
            InvalidateRequest(keys=ContextKeys(keys=[key(f"c{i}") for i in range(101)])),
            ["keys.keys"],
            id="101 keys",
        ),
        pytest.param(
            InvalidateRequest(
                keys=ContextKeys(keys=[key(), key(tenant="globex"), key(tenant="initech")])
            ),
            ["keys.keys[1].tenant_id", "keys.keys[2].tenant_id"],
            id="keys of several tenants",
        ),
        *(
            pytest.param(
                InvalidateRequest(tenant=TenantSelector(tenant_id=text)),
                ["tenant.tenant_id"],
                id=f"tenant: {name}",
            )
            for name, text in BAD_PARTS.items()
        ),
        *(
            pytest.param(
                InvalidateRequest(tenant=TenantSelector(tenant_id="acme", scope=text)),
                ["tenant.scope"],
                id=f"scope: {name}",
            )
            for name, text in BAD_PARTS.items()
            if text  # an empty scope means all of them
        ),
    ],
)
async def test_invalidate(
    storage_stub: Stub, storage: Storage, request_: InvalidateRequest, fields: list[str]
) -> None:
    """The rules of an Invalidate, one by one."""
    assert (await refusal(storage_stub, storage, request_)).fields == fields


async def test_the_edges_are_not_malformed(stub: Stub) -> None:
    """What is just within the rules is accepted."""
    edge = context(
        tenant_id="acme",
        includes=[key(f"a{i}") for i in range(16)],
        create_time=Timestamp(seconds=-62_135_596_800),
        llm_config={"big": 1.7976931348623157e308, "null": None, "empty": {}, "none": []},
    )
    await put(stub, key(), edge, ttl=seconds(86_400), request_id="x" * 128)
    edge.create_time.CopyFrom(Timestamp(seconds=253_402_300_799, nanos=999_999_000))
    await put(stub, key(), edge)
    found = (await get(stub, key())).entry.context
    assert found.create_time == edge.create_time
    assert (found.includes, found.llm_config) == (edge.includes, edge.llm_config)


@pytest.mark.parametrize(
    "kind, depth",
    [
        *(("list", depth) for depth in (16, 32, 33, 40, 46, 47, 48)),
        *(("object", depth) for depth in (16, 32, 33)),
    ],
)
async def test_what_is_accepted_can_be_answered(stub: Stub, kind: str, depth: int) -> None:
    """A context nested as deeply as a Put accepts can be read by every call and client.

    Parsers of protobuf stop at a depth of messages, and answers wrap a context in
    more of them than a Put does: what is too deep has to be refused by its path.
    """
    nested = Value(bool_value=True)
    for _ in range(depth - 1):
        inner, nested = nested, Value()
        if kind == "list":
            nested.list_value.values.append(inner)
        else:
            nested.struct_value.fields["a"].CopyFrom(inner)
    request = PutRequest(key=key(), context=context(llm_config=Struct(fields={"a": nested})))
    try:
        await stub.Put(request, timeout=TIMEOUT)
    except aio.AioRpcError:
        assert depth > 32
        refused = await failure_of(stub.Put(request, timeout=TIMEOUT))
        assert refused.code is StatusCode.INVALID_ARGUMENT
        assert refused.fields[0].startswith("context.llm_config.a")
    else:
        batch = BatchGetRequest(requests=[GetRequest(key=key())])
        results = (await stub.BatchGet(batch, timeout=TIMEOUT)).results
        assert results[0].response.entry.context.llm_config == request.context.llm_config


async def test_lists_are_looked_at_as_far_as_they_may_go(stub: Stub) -> None:
    """What is wrong with the thousands behind the last that is allowed is not looked for."""
    many = context(composed_from=[ContextRef()] * 20_000, includes=[ContextKey()] * 20_000)
    failure = await failure_of(put(stub, key(), many))
    assert failure.code is StatusCode.INVALID_ARGUMENT
    assert int(failure.metadata["violations_left_out"]) < 200


async def test_a_context_that_is_too_large_is_looked_at_no_further(stub: Stub) -> None:
    """Its size comes first: looking for broken rules takes time in proportion to it."""
    large = context(composed_from=[ContextRef()] * 200_000)
    failure = await failure_of(put(stub, key(), large))
    assert failure.reason == "CONTEXT_TOO_LARGE"
