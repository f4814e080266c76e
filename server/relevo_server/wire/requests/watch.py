"""Watch: the messages that a client sends on its stream."""

from collections.abc import Iterator
from typing import NamedTuple, assert_never

from relevo.v1 import store_pb2
from relevo.v1.context_pb2 import ContextKey

from relevo_server import errors
from relevo_server.keys import MAX_PART_BYTES, Key
from relevo_server.roles import READ
from relevo_server.wire.contexts import key_of, key_problems
from relevo_server.wire.decoding import MAX_LIST_BYTES, decoder
from relevo_server.wire.requests.rules import MAX_BATCH, Rights, negative_problems, refuse

_decode = decoder(store_pb2.WatchRequest, MAX_LIST_BYTES)


class Subscribe(NamedTuple):
    """Begin to watch a key."""

    key: Key
    known_version: int
    """The version that the client has, 0 for none."""
    position: int
    """The revision that the client had reached before it reconnected, 0 for none."""
    number: int
    """Names the answer."""


class Unsubscribe(NamedTuple):
    """Stop watching a key."""

    key: Key


class Touch(NamedTuple):
    """Renew the time to live of an entry."""

    key: Key


class Ping(NamedTuple):
    """Ask for a sign of life."""

    number: int
    sign_interval: float | None = None
    """Seconds between the signs that the client gets from now on without asking, 0 for none; None
    if it asks for each."""


class Denied(NamedTuple):
    """A Subscribe or a Touch of a key that the caller may not read. It does not end the stream."""

    key: Key
    number: int | None
    """Names the answer of a Subscribe; None for a Touch, which has none."""
    error: errors.StoreError
    """The error of a Get of the key."""


WatchedRequest = Subscribe | Unsubscribe | Touch | Ping | Denied


class WatchMessage(NamedTuple):
    """One message of a client."""

    requests: Iterator[WatchedRequest]
    """The requests of a batch, or one. Raises INVALID_ARGUMENT."""
    accepts_batches: bool
    """Whether the server may send batches. Only in a stream's first message."""
    client: store_pb2.ClientInfo | None = None
    """The client's name, version, host and process. None if neither the message nor a request of
    its batch has them."""
    report: store_pb2.CacheReport | None = None
    """Figures of the client's cache. None if neither the message nor a request of its batch has
    them."""


def read_watch(serialized: bytes, rights: Rights) -> WatchMessage:
    """Read a WatchRequest. Raises INVALID_ARGUMENT."""
    message = _decode(serialized)
    requests = message.batch.requests if message.HasField("batch") else [message]
    if not 0 < len(requests) <= MAX_BATCH:
        raise errors.invalid([("batch.requests", f"must be 1 to {MAX_BATCH} requests")])
    clients = [each.client for each in requests if each.HasField("client")]
    reports = [each.report for each in requests if each.HasField("report")]
    return WatchMessage(
        # One by one, when each is handled: the requests before a malformed one count.
        (_read_request(each, rights) for each in requests),
        message.accepts_batches,
        _client_of(clients[-1]) if clients else None,
        _report_of(reports[-1]) if reports else None,
    )


def _client_of(message: store_pb2.ClientInfo) -> store_pb2.ClientInfo:
    """The client, with each name cut to its limit: too long a name must not end the stream."""
    return store_pb2.ClientInfo(
        service_name=_cut(message.service_name),
        service_version=_cut(message.service_version),
        host_name=_cut(message.host_name),
        process_id=message.process_id,
        library=_cut(message.library),
    )


def _cut(text: str) -> str:
    return text.encode()[:MAX_PART_BYTES].decode(errors="ignore")


def _report_of(message: store_pb2.CacheReport) -> store_pb2.CacheReport:
    """The report without unknown fields: they would take memory for as long as the stream lasts."""
    report = store_pb2.CacheReport()
    report.CopyFrom(message)
    report.DiscardUnknownFields()
    return report


def _read_request(request: store_pb2.WatchRequest, rights: Rights) -> WatchedRequest:
    match request.WhichOneof("request"):
        case "ping":
            return _read_ping(request.ping)
        case "subscribe":
            return _read_subscribe(request.subscribe, rights)
        case "unsubscribe":
            return Unsubscribe(_read_key(request.unsubscribe.key, "unsubscribe.key"))
        case "touch":
            key = _read_key(request.touch.key, "touch.key")
            return _denied(key, None, rights) or Touch(key)
        case "batch":
            raise errors.invalid([("batch.requests", "must not be batches")])
        case None:
            text = "must be given: subscribe, unsubscribe, touch or ping"
            raise errors.invalid([("request", text)])
        case other:
            assert_never(other)


def _read_ping(message: store_pb2.Ping) -> Ping:
    if not message.HasField("sign_interval"):
        return Ping(message.number)
    seconds = message.sign_interval.seconds + message.sign_interval.nanos / 1e9
    if seconds < 0:
        raise errors.invalid([("ping.sign_interval", "must not be negative")])
    return Ping(message.number, seconds)


def _read_subscribe(message: store_pb2.Subscribe, rights: Rights) -> Subscribe | Denied:
    key = key_of(message.key)
    subscribe = Subscribe(key, message.known_version, message.position, message.number)
    refuse(
        (
            *key_problems(key, "subscribe.key"),
            *negative_problems(
                "subscribe.",
                known_version=subscribe.known_version,
                position=subscribe.position,
                number=subscribe.number,
            ),
        )
    )
    return _denied(key, subscribe.number, rights) or subscribe


def _read_key(message: ContextKey, path: str) -> Key:
    key = key_of(message)
    refuse(key_problems(key, path))
    return key


def _denied(key: Key, number: int | None, rights: Rights) -> Denied | None:
    """The denial of a request for a key, or None if the caller may read it."""
    try:
        rights.require(key.tenant_id, READ, key.scope)
    except errors.StoreError as error:
        return Denied(key, number, error)
    return None
