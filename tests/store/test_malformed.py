"""Malformed requests: every rule names the path of its field."""

import math

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode
from relevo.v1.context_pb2 import ContextKey
from relevo.v1.store_pb2 import (
    BatchGetRequest,
    ContextKeys,
    GetRequest,
    InvalidateRequest,
    PutRequest,
    TenantSelector,
)
from relevo_server.storage import Storage
from store.refused import refusal
from support.clients.calls import TIMEOUT, Stub, context, get, key, masked, put, seconds

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


def bad_key(part: str, text: str) -> ContextKey:
    """A key with one malformed part."""
    bad = key()
    setattr(bad, part, text)
    return bad


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("text", BAD_PARTS.values(), ids=BAD_PARTS.keys())
async def test_keys(storage_stub: Stub, storage: Storage, part: str, text: str) -> None:
    """Each part of a key has 1 to 256 bytes without control characters, in every request."""
    bad = bad_key(part, text)
    for request, path in (
        (GetRequest(key=bad), "key"),
        (PutRequest(key=bad, context=context()), "key"),
        (InvalidateRequest(keys=ContextKeys(keys=[key("c2"), bad])), "keys.keys[1]"),
        (PutRequest(key=key(), context=context(includes=[key("c2"), bad])), "context.includes[1]"),
    ):
        failure = await refusal(storage_stub, storage, request)
        assert f"{path}.{part}" in failure.fields
        # The key of another tenant breaks a rule of its own.
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
    """The rules of a Get also hold in a BatchGet, which reports them in that result's error."""
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
            if text  # an empty scope means all scopes
        ),
    ],
)
async def test_invalidate(
    storage_stub: Stub, storage: Storage, request_: InvalidateRequest, fields: list[str]
) -> None:
    """Each rule of an Invalidate is checked."""
    assert (await refusal(storage_stub, storage, request_)).fields == fields


async def test_the_edges_are_not_malformed(stub: Stub) -> None:
    """Values at the limits of the rules are accepted."""
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
