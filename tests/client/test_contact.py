"""The rules by which a client logs that its store is lost or found, without a network."""

import logging

import pytest
from grpc import StatusCode, aio
from relevo_client._context.errors import NotFoundError, UnavailableError
from relevo_client._store.contact import QUIET, Contact, Evidence
from relevo_server.errors import stopping
from relevo_server.wire.statuses import status_of

BAD = UnavailableError("Socket closed", reason="UNAVAILABLE")
LATE = UnavailableError("the store did not answer in time", reason="DEADLINE_EXCEEDED")
AWAY = UnavailableError("the store cannot be reached", reason="STORE_UNAVAILABLE")
STOPPING = UnavailableError("the server is stopping", reason="SERVER_STOPPING")
MISSING = NotFoundError("there is no live entry", reason="NO_ENTRY")


def test_a_failure_alone_is_no_loss() -> None:
    """A failure that ends any number of concurrent attempts does not count as a lost store."""
    evidence = Evidence()
    attempts = [evidence.begin() for _ in range(100)]
    assert not any(evidence.failed(attempt, 1.0) for attempt in attempts)
    assert not evidence.is_lost


def stopped_stream() -> aio.AioRpcError:
    """The end of a stream of a server that stops."""
    details = status_of(stopping()).SerializeToString()
    trailing = aio.Metadata(("grpc-status-details-bin", details))
    return aio.AioRpcError(StatusCode.UNAVAILABLE, aio.Metadata(), trailing, "stopping")


def test_a_server_that_stops_is_no_loss(caplog: pytest.LogCaptureFixture) -> None:
    """A server that says that it stops was reached: however often it says so, nothing is lost."""
    contact = Contact("127.0.0.1:1", 2.0)
    for _ in range(3):
        contact.ended(contact.begin(), STOPPING, 2.0)
        contact.stream_ended(contact.begin(), stopped_stream())
    assert caplog.messages == []
    contact.ended(contact.begin(), BAD, 2.0)
    contact.ended(contact.begin(), STOPPING, 2.0)  # and it is no answer either
    contact.ended(contact.begin(), BAD, 2.0)
    assert is_lost(caplog)


def test_a_second_failure_is_a_loss() -> None:
    """The store is lost when an attempt fails that began after a failure, which is logged once."""
    evidence = Evidence()
    evidence.failed(evidence.begin(), 1.0)
    assert evidence.failed(evidence.begin(), 1.1)
    assert not evidence.failed(evidence.begin(), 1.2)
    assert evidence.is_lost


def test_an_answer_in_between_is_an_excuse() -> None:
    """A failure before an answer no longer counts: another server has answered."""
    evidence = Evidence()
    for now in range(10):
        evidence.failed(evidence.begin(), now)
        evidence.answered(now)
    assert not evidence.is_lost


def test_found_when_it_is_quiet() -> None:
    """A lost store is found with the first answer after `QUIET` seconds without a failure."""
    evidence = Evidence()
    for now in (1.0, 1.1):
        evidence.failed(evidence.begin(), now)
    assert not evidence.answered(1.2)
    assert evidence.is_lost
    assert evidence.answered(1.1 + QUIET)
    assert not evidence.answered(5.0)
    assert not evidence.is_lost


def test_half_a_store_is_lost_once() -> None:
    """While some attempts fail and others succeed, only one change is reported."""
    evidence = Evidence()
    news = 0
    for i in range(100):
        now = i / 50
        news += evidence.failed(evidence.begin(), now)
        news += evidence.failed(evidence.begin(), now)
        news += evidence.answered(now)
    assert news == 1


def is_lost(caplog: pytest.LogCaptureFixture) -> bool:
    """Whether the log has exactly one record, about the lost store."""
    (message,) = caplog.messages
    return message.startswith("the store at 127.0.0.1:1 is lost: ")


def test_what_is_an_answer(caplog: pytest.LogCaptureFixture) -> None:
    """A refusal is an answer; a failure within a caller's own short timeout does not count."""
    contact = Contact("127.0.0.1:1", 2.0)
    contact.ended(contact.begin(), BAD, 2.0)
    contact.ended(contact.begin(), MISSING, 2.0)
    contact.ended(contact.begin(), BAD, 2.0)
    for failure in (LATE, AWAY):
        contact.ended(contact.begin(), failure, 0.001)
    assert caplog.messages == []
    contact.ended(contact.begin(), LATE, 0.5)
    assert is_lost(caplog)


def test_a_client_with_a_short_timeout(caplog: pytest.LogCaptureFixture) -> None:
    """A failure counts after half of the client's timeout, if that is shorter than the default."""
    contact = Contact("127.0.0.1:1", 0.1)
    for _ in range(2):
        contact.ended(contact.begin(), AWAY, 0.09)
    assert is_lost(caplog)


@pytest.mark.parametrize(
    "target, name",
    [
        ("127.0.0.1:7390", "the store at 127.0.0.1:7390 is lost"),
        ("dns:///store.internal:443", "the store at dns:///store.internal:443 is lost"),
        ("dns://u:s3cret@10.0.0.1/store?t=s3cret", "the store at dns://10.0.0.1/store is lost"),
        ("ipv4:///u:s3cret@a:1,u:s3cret@b:2", "the store at ipv4:///a:1,b:2 is lost"),
        (None, "the store is lost"),
    ],
)
def test_the_target_is_named_without_secrets(
    caplog: pytest.LogCaptureFixture, target: str | None, name: str
) -> None:
    """The log names the client's target without users, passwords and options."""
    contact = Contact(target, 2.0)
    for _ in range(2):
        contact.ended(contact.begin(), BAD, 2.0)
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("relevo_client", logging.WARNING)
    assert record.getMessage() == f"{name}: UNAVAILABLE, Socket closed"


def test_a_closed_client_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Calls that end after the client was closed are not logged."""
    caplog.set_level(logging.DEBUG)
    contact = Contact("127.0.0.1:1", 2.0)
    contact.close()
    for _ in range(2):
        contact.ended(contact.begin(), BAD, 2.0)
    contact.answered()
    assert caplog.records == []
