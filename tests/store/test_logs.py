"""Logs: one JSON object a line, without context values, tokens or passwords."""

import json
from typing import Any

import grpc
import pytest
from relevo.v1 import store_pb2, store_pb2_grpc
from relevo_server.settings import Settings
from support.clients.access import bearer, principal
from support.clients.calls import context, key, masked
from support.redis.client import RedisClient
from support.servers.process import relevo_serve


@pytest.fixture
def store_url(redis_url: str) -> str:
    """Redis, which has more ways to fail than memory."""
    return redis_url


SECRET = "s3cret-value"  # noqa: S105
TOKEN = "s3cret-token"  # noqa: S105
PRINCIPALS = json.dumps([principal(TOKEN, "acme", name="p").model_dump()])


def test_no_value_is_ever_logged(redis_url: str, settings: Settings) -> None:
    """At the DEBUG level, neither successful nor failed calls leave a value in the log."""
    secret = context(user_id=SECRET, llm_config={SECRET: SECRET, "nested": {"a": [SECRET]}})
    bad = context(llm_config={"a": float("nan"), "b": SECRET})
    flags = ("--store", redis_url, "--store-prefix", settings.store_prefix, "--log-level", "debug")
    metadata = bearer(TOKEN)
    with (
        relevo_serve(*flags, "--principals", PRINCIPALS) as server,
        grpc.insecure_channel(server.address) as channel,
        RedisClient(redis_url) as redis,
    ):
        stub = store_pb2_grpc.ContextStoreStub(channel)

        def call(method: Any, request: Any, code: grpc.StatusCode = grpc.StatusCode.OK) -> None:
            try:
                method(request, metadata=metadata, timeout=10)
            except grpc.RpcError as error:
                found: Any = error
                assert found.code() is code
            else:
                assert code is grpc.StatusCode.OK

        request = store_pb2.PutRequest(key=key(), context=secret)
        call(stub.Put, request)
        call(stub.Get, store_pb2.GetRequest(key=key()))
        call(
            stub.Put, store_pb2.PutRequest(key=key(), context=secret, update_mask=masked("user_id"))
        )
        request.if_version = 1
        call(stub.Put, request, grpc.StatusCode.ABORTED)
        bad_request = store_pb2.PutRequest(key=key(), context=bad)
        call(stub.Put, bad_request, grpc.StatusCode.INVALID_ARGUMENT)
        foreign = store_pb2.PutRequest(key=key(tenant="globex"), context=secret)
        call(stub.Put, foreign, grpc.StatusCode.PERMISSION_DENIED)
        # A key of another type in place of the log makes Redis refuse the write.
        (log,) = (name for name in redis.names(settings.store_prefix) if name.endswith(":log"))
        redis("DEL", log)
        redis("SET", log, "not a stream")
        call(stub.Put, store_pb2.PutRequest(key=key(), context=secret), grpc.StatusCode.INTERNAL)
    printed = "".join(server.lines)
    assert "store.refused" in printed
    assert "s3cret" not in printed
    assert len(server.log) == len(server.lines)
