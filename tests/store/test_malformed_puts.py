"""Malformed contexts and masks: a Put is refused before it changes anything."""

import math
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode, aio
from relevo.v1.context_pb2 import ContextKey, ContextRef, ExecutionContext
from relevo.v1.store_pb2 import (
    BatchGetRequest,
    GetRequest,
    PutRequest,
)
from relevo_server.storage import Storage
from store.refused import refusal
from support.clients.calls import TIMEOUT, Stub, context, key, masked, put
from support.failures import failure_of


def value_in(value: Value | None) -> ExecutionContext:
    """A context with a value deep within a section; None is a value without a kind."""
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
    """Each rule of a Put is checked."""
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
    """In every section, a number that JSON cannot express is found."""
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
    """A mask's path is a field of a context, or a key within a section; any other is refused."""
    request = PutRequest(key=key(), context=context(), update_mask=masked(*paths))
    assert (await refusal(storage_stub, storage, request)).fields == ["update_mask"]


@pytest.mark.parametrize(
    "kind, depth",
    [
        *(("list", depth) for depth in (16, 32, 33, 40, 46, 47, 48)),
        *(("object", depth) for depth in (16, 32, 33)),
    ],
)
async def test_what_is_accepted_can_be_answered(stub: Stub, kind: str, depth: int) -> None:
    """A context nested as deeply as a Put accepts can be read by every call and client.

    Protobuf parsers limit the depth of messages, and answers wrap a context in more of them than a
    Put does: a context that is too deep must be refused, by its path.
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
    """Elements beyond a list's allowed length are not validated."""
    many = context(composed_from=[ContextRef()] * 20_000, includes=[ContextKey()] * 20_000)
    failure = await failure_of(put(stub, key(), many))
    assert failure.code is StatusCode.INVALID_ARGUMENT
    assert int(failure.metadata["violations_left_out"]) < 200


async def test_a_context_that_is_too_large_is_looked_at_no_further(stub: Stub) -> None:
    """The size is checked first: validation takes time in proportion to it."""
    large = context(composed_from=[ContextRef()] * 200_000)
    failure = await failure_of(put(stub, key(), large))
    assert failure.reason == "CONTEXT_TOO_LARGE"
