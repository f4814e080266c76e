"""Failed calls: what is printed for statuses of servers, of proxies, and of connections."""

from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import ErrorInfo
from relevo.v1.store_pb2 import Error
from relevo_cli.failures import explain, reported


class Failed(grpc.RpcError):
    """A failed call with these bytes as its details."""

    def __init__(self, code: grpc.StatusCode, details: bytes) -> None:
        self._code = code
        self._details = details

    def code(self) -> grpc.StatusCode:
        """The status."""
        return self._code

    def details(self) -> str:
        """The text."""
        return "text"

    def trailing_metadata(self) -> Any:
        """The metadata."""
        return (("grpc-status-details-bin", self._details),)


def status(detail: AnyMessage) -> bytes:
    """The bytes of a Status with one detail."""
    return Error(details=[detail]).SerializeToString()


def test_a_reason_of_the_server() -> None:
    """The reason is named after the status."""
    detail = AnyMessage()
    detail.Pack(ErrorInfo(reason="NO_ENTRY", domain="relevo"))
    failed = Failed(grpc.StatusCode.NOT_FOUND, status(detail))
    assert explain(failed) == (3, "NOT_FOUND (NO_ENTRY): text")


@pytest.mark.parametrize(
    "details",
    [
        b"\xff",
        status(AnyMessage(type_url=f"x/{ErrorInfo.DESCRIPTOR.full_name}", value=b"\xff")),
    ],
    ids=["no Status", "no ErrorInfo"],
)
def test_details_that_are_malformed(details: bytes) -> None:
    """Details that cannot be read, as of a proxy, are left out."""
    failed = Failed(grpc.StatusCode.UNAVAILABLE, details)
    assert explain(failed) == (1, "UNAVAILABLE: text")


def test_values_that_no_message_can_hold(capsys: pytest.CaptureFixture[str]) -> None:
    """A ValueError is one line, as what protobuf raises for a number that is out of range."""

    @reported
    def command() -> int:
        raise ValueError("Value out of range: 1")

    assert command() == 2
    assert capsys.readouterr().err == "relevo: Value out of range: 1\n"
