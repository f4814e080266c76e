"""The spans and measurements of a client's calls of the store."""

from collections.abc import Iterable
from typing import Any

from opentelemetry.trace import SpanKind
from relevo.v1 import context_pb2, store_pb2

from relevo_client._context.keys import ContextKey
from relevo_client._telemetry.instruments import CONTEXT_SIZE, SCOPE, attributes, is_metered
from relevo_client._telemetry.spans import KEY, Spanned

_SERVICE = store_pb2.DESCRIPTOR.services_by_name["ContextStore"]
_METHODS: dict[Any, str] = {
    method.input_type.full_name: f"{_SERVICE.full_name}/{method.name}"
    for method in _SERVICE.methods
}
_SYSTEM = {"rpc.system.name": "grpc"}
_STATUS = "rpc.response.status_code"
_MAX_SCOPES = 20
_OTHER = "other"


class Call(Spanned):
    """A `with` block that sends one request to the store. The span is the client's side of it.

    `has_key` is whether the key of the request may be an attribute.
    """

    __slots__ = ()

    def __init__(self, request: Any, *, has_key: bool) -> None:
        method = _METHODS[request.DESCRIPTOR.full_name]

        def about() -> dict[str, str | int]:
            key: context_pb2.ContextKey | None = getattr(request, "key", None)
            named: dict[str, str | int] = {**_SYSTEM, "rpc.method": method}
            if key:
                named[SCOPE] = key.scope
                if has_key:
                    named[KEY] = ContextKey.from_message(key).text
            return named

        super().__init__(method, SpanKind.CLIENT, about)

    def ended(self, status: str) -> None:
        """Record the status that gRPC returned."""
        self.span.set_attribute(_STATUS, status)


_scopes: set[str] = set()


def record_sizes(entries: Iterable[context_pb2.ContextEntry]) -> None:
    """Record the sizes of received contexts by scope. The first 20 scopes have their names."""
    if not is_metered():
        return
    for entry in entries:
        if not entry.HasField("context"):
            continue
        scope = entry.key.scope
        if scope not in _scopes:
            if len(_scopes) >= _MAX_SCOPES:
                scope = _OTHER
            else:
                _scopes.add(scope)
        CONTEXT_SIZE.record(entry.context.ByteSize(), attributes((SCOPE, scope)))


def record_current(response: store_pb2.PutResponse | store_pb2.LeaseResponse) -> None:
    """The same for the contexts that a Put or a Lease brings along."""
    if response.HasField("current"):
        record_sizes([response.current.entry, *response.current.layers])


def entries_in(message: store_pb2.WatchResponse) -> Iterable[context_pb2.ContextEntry]:
    """The entries in a message of a Watch stream."""
    match message.WhichOneof("event"):
        case "entry":
            yield message.entry
        case "batch":
            for each in message.batch.messages:
                yield from entries_in(each)
        case _:
            pass
