"""Properties of the wire contract on which its users rely."""

import re
from pathlib import Path
from types import ModuleType

import pytest
from google.protobuf.descriptor import Descriptor
from google.rpc import status_pb2
from grpc import StatusCode
from relevo.v1 import action_pb2, context_pb2, store_pb2
from relevo_server.errors import Reason, StoreError
from relevo_server.wire.statuses import status_of
from support.servers.statuses import EVERY_ERROR

PROTO = Path(__file__).parents[2] / "protos" / "relevo" / "v1"

MESSAGES = {
    "ExecutionContext": """
        context_id tenant_id agent_id tenant_tier conversation_id session_id user_id
        llm_config embedding_config rag_config agent_config metadata rate_limits
        includes create_time update_time composed_from""",
    "ContextKey": "scope tenant_id id",
    "ContextRef": "key revision signature",
    "ContextEntry": "key context version partition expire_time ttl signature",
    "DomainAction": """
        action_id action_type task_id tenant_id tenant_tier agent_id session_id
        conversation_id user_id origin_service correlation_id callback_queue
        callback_action_type context_ref payload metadata trace_context create_time
        context_rider""",
    "GetRequest": "key min_revision consistency include_layers known_version",
    "GetResponse": "entry layers revision not_modified",
    "PutRequest": """
        key context ttl update_mask if_version if_absent lease_token request_id
        include_layers""",
    "PutResponse": "entry revision current",
    "InvalidateRequest": "keys tenant request_id",
    "TenantSelector": "tenant_id scope",
    "InvalidateResponse": "revision invalidated_count",
    "LeaseRequest": "key wait renew_version request_id include_layers",
    "LeaseResponse": "entry lease current revision",
    "Lease": "token ttl",
    "ReleaseRequest": "key lease_token",
    "ReleaseResponse": "",
    "WatchRequest": "subscribe unsubscribe touch ping batch client report accepts_batches",
    "ClientInfo": "service_name service_version host_name process_id library",
    "CacheReport": "entries bytes hits misses evictions pushes reconnects staleness",
    "Subscribe": "key known_version position number",
    "WatchResponse": (
        "entry invalidated progress reset batch answers positions accepts_batches clock"
    ),
    "ServerClock": "ping time",
    "Batch": "messages",
    "RequestBatch": "requests",
    "Invalidated": "key tenant revision partition is_changed",
    "Ping": "number sign_interval",
    "Position": "partition revision ping time",
    "Reset": "partition reason",
}

SECTIONS = """
    ExecutionContext.llm_config ExecutionContext.embedding_config ExecutionContext.rag_config
    ExecutionContext.agent_config ExecutionContext.metadata ExecutionContext.rate_limits
    DomainAction.payload DomainAction.metadata"""


def message(name: str) -> Descriptor:
    """A message of the contract."""
    files = (context_pb2.DESCRIPTOR, action_pb2.DESCRIPTOR, store_pb2.DESCRIPTOR)
    return next(
        file.message_types_by_name[name] for file in files if name in file.message_types_by_name
    )


@pytest.mark.parametrize("name", MESSAGES)
def test_messages_have_their_fields(name: str) -> None:
    """Every message has the fields of the contract, under these names."""
    assert [field.name for field in message(name).fields] == MESSAGES[name].split()


@pytest.mark.parametrize("path", SECTIONS.split())
def test_sections_are_open(path: str) -> None:
    """The six sections of a context, an action's payload and its metadata are Structs."""
    owner, _, name = path.partition(".")
    kind = message(owner).fields_by_name[name].message_type
    assert kind is not None
    assert kind.full_name == "google.protobuf.Struct"


def test_one_precondition_at_a_time() -> None:
    """A Put has at most one condition, and an Invalidate one target: each is a oneof."""
    oneofs = {
        f"{name}.{oneof.name}": [field.name for field in oneof.fields]
        for name in ("PutRequest", "InvalidateRequest")
        for oneof in message(name).oneofs
    }
    assert oneofs == {
        "PutRequest.precondition": ["if_version", "if_absent", "lease_token"],
        "InvalidateRequest.target": ["keys", "tenant"],
    }


def test_calls_of_the_store() -> None:
    """ContextStore has seven calls; only Watch streams, both ways."""
    service = store_pb2.DESCRIPTOR.services_by_name["ContextStore"]
    assert service.full_name == "relevo.v1.ContextStore"
    calls = {
        method.name: (
            method.input_type.name,
            method.output_type.name,
            method.client_streaming,
            method.server_streaming,
        )
        for method in service.methods
    }
    unary = {
        name: (f"{name}Request", f"{name}Response", False, False)
        for name in ("Get", "BatchGet", "Put", "Invalidate", "Lease", "Release", "Snapshot")
    }
    assert calls == {**unary, "Watch": ("WatchRequest", "WatchResponse", True, True)}


def test_every_reason_is_documented() -> None:
    """Each reason's comment begins with its status, or says that it is unused."""
    assert set(documented_codes()) == set(store_pb2.ErrorReason.keys()) - {
        "ERROR_REASON_UNSPECIFIED"
    }


def test_the_servers_reasons_are_the_contracts() -> None:
    """The server's enum has exactly the names of ErrorReason, without their prefix."""
    names = [f"ERROR_REASON_{reason.value}" for reason in Reason]
    assert names == store_pb2.ErrorReason.keys()[1:]  # all but ERROR_REASON_UNSPECIFIED
    assert all(reason.name == reason.value for reason in Reason)


@pytest.mark.parametrize("error", EVERY_ERROR, ids=lambda error: error.reason)
def test_errors_have_their_documented_status(error: StoreError) -> None:
    """The server uses each reason with its documented status."""
    assert error.code.name == documented_codes()[f"ERROR_REASON_{error.reason}"]


def test_every_reason_has_an_error() -> None:
    """These tests cover every reason."""
    reasons = {f"ERROR_REASON_{error.reason}" for error in EVERY_ERROR}
    assert reasons == set(documented_codes())


def test_an_error_within_an_answer_is_a_status() -> None:
    """`Error` has the fields of google.rpc.Status, with the same numbers and types."""

    def layout(descriptor: Descriptor) -> set[tuple[int, int, bool, str]]:
        return {
            (
                field.number,
                field.type,
                field.is_repeated,
                field.message_type.full_name if field.message_type else "",
            )
            for field in descriptor.fields
        }

    status = status_pb2.DESCRIPTOR.message_types_by_name["Status"]
    assert layout(message("Error")) == layout(status)


@pytest.mark.parametrize("error", EVERY_ERROR, ids=lambda error: error.reason)
def test_errors_read_as_a_status_say_the_same(error: StoreError) -> None:
    """The bytes of an `Error` are a google.rpc.Status with the same code, message and details."""
    error_message = status_of(error)
    status = status_pb2.Status.FromString(error_message.SerializeToString())
    assert (status.code, status.message) == (error.code.value[0], error.message)
    assert list(status.details) == list(error_message.details)
    assert store_pb2.Error.FromString(status.SerializeToString()) == error_message


@pytest.mark.parametrize("module", [context_pb2, action_pb2, store_pb2], ids=lambda m: m.__name__)
def test_packages_of_other_languages(module: ModuleType) -> None:
    """The Go and Java code of the protos has these packages; Java has a file per message."""
    options = module.DESCRIPTOR.GetOptions()
    assert options.go_package == "relevo.io/gen/relevo/v1;relevov1"
    assert options.java_package == "io.relevo.v1"
    assert options.java_multiple_files


def documented_codes() -> dict[str, str]:
    """The status of each reason, from the comments in store.proto."""
    text = (PROTO / "store.proto").read_text("utf-8")
    found = re.findall(r"  // (\w+): [^\n]+\n(?:  // [^\n]+\n)*  (ERROR_REASON_\w+) = \d+;", text)
    assert all(code in StatusCode.__members__ for code, _ in found), found
    return {reason: code for code, reason in found}
