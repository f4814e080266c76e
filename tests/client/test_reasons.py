"""The client's reasons are the contract's, gRPC's codes and its own; unknown ones remain text."""

import pickle

import pytest
from google.rpc import error_details_pb2
from grpc import StatusCode
from relevo.v1.store_pb2 import Error, ErrorReason
from relevo_client import ConflictError, LeaseHeldError, NotFoundError, Reason, RelevoError
from relevo_client._store.statuses import error_of_status

PREFIX = "ERROR_REASON_"
CONTRACT = {name.removeprefix(PREFIX) for name in ErrorReason.keys()} - {"UNSPECIFIED"}  # noqa: SIM118
CODES = {code.name for code in StatusCode} - {"OK"}
OWN = {
    *("NO_CONTEXT", "CONTEXT_NOT_RESOLVED", "CONTEXT_WITHOUT_ENTRY", "INCOMPLETE_CONTEXT"),
    "INVALID_SECTION",
    *("CLIENT_CLOSED", "CLIENT_FORKED", "TOKEN_UNAVAILABLE", "QUEUE_LOST"),
    *("FORBIDDEN", "CALLBACK_DENIED"),
    *("HANDLER_FAILED", "TOO_MANY_DELIVERIES", "NOT_DONE", "NOT_BEGUN", "NOT_HELD"),
}
"""The reasons that only the client has."""


def status(code: StatusCode, reason: str) -> Error:
    """A status as from a server."""
    message = Error(code=code.value[0], message="no")
    message.details.add().Pack(error_details_pb2.ErrorInfo(domain="relevo", reason=reason))
    return message


def test_the_contract_and_the_client_agree() -> None:
    """The reasons are the contract's, gRPC's codes and the client's own, and no others."""
    assert {reason.value for reason in Reason} == CONTRACT | CODES | OWN
    assert not OWN & (CONTRACT | CODES)


@pytest.mark.parametrize("reason", Reason)
def test_a_reason_is_its_name(reason: Reason) -> None:
    """The text of a reason is its name, in messages, logs and headers."""
    assert (reason.name, str(reason), f"{reason}") == (reason.value, reason.value, reason.value)


@pytest.mark.parametrize("name", sorted(CONTRACT))
def test_a_known_reason_is_a_member(name: str) -> None:
    """A known reason becomes a member of the enum, also in another process."""
    error = error_of_status(status(StatusCode.NOT_FOUND, name))
    for each in (error, pickle.loads(pickle.dumps(error))):  # noqa: S301 - our own
        assert each.reason is Reason[name]
        assert each.reason == name


def test_an_unknown_reason_is_its_name() -> None:
    """A newer server's reason is a plain text, and the code decides the exception's class."""
    error = error_of_status(status(StatusCode.NOT_FOUND, "MOVED_AWAY"))
    for each in (error, pickle.loads(pickle.dumps(error))):  # noqa: S301 - our own
        assert type(each) is NotFoundError
        assert (type(each.reason), each.reason) == (str, "MOVED_AWAY")
    assert type(RelevoError("no", reason="MOVED_AWAY").reason) is str


def test_another_release_can_read_a_pickled_error() -> None:
    """A pickled error has its reason as plain text, which any release can read."""
    pickled = pickle.dumps(RelevoError("no", reason=Reason.LEASE_HELD))
    assert b"LEASE_HELD" in pickled
    assert b"reasons" not in pickled


def test_a_held_lease_is_a_conflict_still() -> None:
    """LeaseHeldError is a ConflictError."""
    error = error_of_status(status(StatusCode.ABORTED, "LEASE_HELD"))
    assert type(error) is LeaseHeldError
    assert isinstance(error, ConflictError)
