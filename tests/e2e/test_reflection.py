"""grpcurl's way in Python: the server's reflection describes the whole service."""

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from support.servers.process import relevo_serve

STORE = "relevo.v1.ContextStore"
ADMIN = "relevo.admin.v1.Admin"
HEALTH = "grpc.health.v1.Health"
DETAILS = "grpc-status-details-bin"
KEY = {"scope": "agent_config", "tenantId": "acme", "id": "support"}
CONTEXT = {
    "agentId": "support",
    "llmConfig": {"model": "m-1", "max_tokens": 1024, "top-p": 0.5, "stop": ["a", None, True]},
}


def serialized(message: Message) -> bytes:
    """The serialized message."""
    return message.SerializeToString()


class Reflection:
    """Calls a server by its reflection: JSON in, JSON out."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel
        self._database = ProtoReflectionDescriptorDatabase(channel)
        self._pool = DescriptorPool(self._database)

    def services(self) -> list[str]:
        """The services of the server."""
        return sorted(self._database.get_services())

    def service(self, name: str) -> ServiceDescriptor:
        """A service, as the server describes it."""
        return self._pool.FindServiceByName(name)

    def call(self, method: str, request: dict[str, Any]) -> Any:
        """Call a method, named as `package.Service/Method`, with JSON."""
        service, _, name = method.partition("/")
        described: MethodDescriptor = self.service(service).methods_by_name[name]
        message = GetMessageClass(described.input_type)()
        send: grpc.UnaryUnaryMultiCallable[Message, Message] = self._channel.unary_unary(
            f"/{method}",
            request_serializer=serialized,
            response_deserializer=GetMessageClass(described.output_type).FromString,
        )
        answer = send(json_format.ParseDict(request, message), timeout=10)
        return json_format.MessageToDict(answer)

    def store(self, method: str, **request: Any) -> Any:
        """Call a method of the store."""
        return self.call(f"{STORE}/{method}", request)

    def error(self, method: str, **request: Any) -> tuple[grpc.StatusCode, dict[str, Any]]:
        """The error of a call: its code, and its details by the last part of their type."""
        with pytest.raises(grpc.RpcError) as caught:
            self.store(method, **request)
        call: Any = caught.value
        value = dict(call.trailing_metadata())[DETAILS]
        status = GetMessageClass(self._pool.FindMessageTypeByName("relevo.v1.Error"))()
        status.ParseFromString(value)
        details = json_format.MessageToDict(status, descriptor_pool=self._pool)["details"]
        return call.code(), {each.pop("@type").rpartition(".")[2]: each for each in details}


@pytest.fixture(scope="module")
def server() -> Iterator[Reflection]:
    """A server of which only the address is known."""
    with relevo_serve() as process, grpc.insecure_channel(process.address) as channel:
        yield Reflection(channel)


def test_list(server: Reflection) -> None:
    """Reflection lists the services and methods."""
    assert {STORE, ADMIN, HEALTH} <= set(server.services())
    methods = server.service(STORE).methods_by_name
    names = ("BatchGet", "Get", "Invalidate", "Lease", "Put", "Release", "Snapshot", "Watch")
    assert tuple(sorted(methods)) == names


def test_admin(server: Reflection) -> None:
    """What operators ask can be asked by reflection too."""
    status = server.call(f"{ADMIN}/GetStatus", {})
    assert status["store"]["kind"] == "memory"


def test_describe(server: Reflection) -> None:
    """Reflection describes the methods and messages."""
    put = server.service(STORE).methods_by_name["Put"]
    context = put.input_type.fields_by_name["context"].message_type
    assert context is not None
    section = context.fields_by_name["llm_config"].message_type
    assert section is not None
    assert (context.full_name, section.full_name) == (
        "relevo.v1.ExecutionContext",
        "google.protobuf.Struct",
    )


def test_put_and_get(server: Reflection) -> None:
    """Requests and responses are JSON."""
    put = server.store("Put", key=KEY, context=CONTEXT, ttl="60s")
    assert put["entry"]["key"] == KEY
    assert put["revision"] == put["entry"]["version"]
    got = server.store("Get", key=KEY)
    assert got["entry"]["version"] == put["revision"]
    assert got["entry"]["context"]["agentId"] == "support"
    assert got["entry"]["context"]["llmConfig"] == CONTEXT["llmConfig"]
    assert 0 < float(got["entry"]["ttl"].removesuffix("s")) <= 60


def test_masked_put(server: Reflection) -> None:
    """A mask sets, replaces and clears only what it names."""
    server.store("Put", key=KEY, context=CONTEXT)
    change = {"userId": "u", "llmConfig": {"model": "m-2"}}
    mask = "userId,llmConfig.model,llmConfig.maxTokens"
    server.store("Put", key=KEY, context=change, updateMask=mask)
    context = server.store("Get", key=KEY)["entry"]["context"]
    assert context["userId"] == "u"
    assert context["agentId"] == "support"
    assert context["llmConfig"] == {"model": "m-2", "top-p": 0.5, "stop": ["a", None, True]}


def test_invalidate(server: Reflection) -> None:
    """Keys and whole tenants can be ended."""
    version = int(server.store("Put", key=KEY, context=CONTEXT)["revision"])
    ended = server.store("Invalidate", keys={"keys": [KEY]})
    assert (ended["invalidatedCount"], int(ended["revision"]) > version) == (1, True)
    server.store("Put", key=KEY, context=CONTEXT)
    server.store("Invalidate", tenant={"tenantId": "acme"})
    code, _ = server.error("Get", key=KEY)
    assert code is grpc.StatusCode.NOT_FOUND


def test_health(server: Reflection) -> None:
    """The standard health check works for the server and for the service."""
    for service in ("", STORE):
        answer = server.call(f"{HEALTH}/Check", {"service": service})
        assert answer == {"status": "SERVING"}


def test_an_error_with_its_details(server: Reflection) -> None:
    """An error's details can be read with the types from the server's reflection."""
    code, details = server.error("Get", key={**KEY, "id": "a:b"})
    assert code is grpc.StatusCode.NOT_FOUND
    assert details["ErrorInfo"] == {
        "domain": "relevo",
        "reason": "NO_ENTRY",
        "metadata": {"key": "agent_config:acme:a%3Ab"},
    }
    code, details = server.error("Put", key={**KEY, "id": ""}, context={"tenantId": "globex"})
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    fields = [each["field"] for each in details["BadRequest"]["fieldViolations"]]
    assert fields == ["key.id", "context.tenant_id"]
