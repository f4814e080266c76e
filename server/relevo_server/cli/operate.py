"""`relevo get`, `put` and `invalidate`, which read and print JSON."""

import argparse
import json
import math
import os
import sys
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import grpc
from google.protobuf import json_format
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo
from relevo.v1 import store_pb2, store_pb2_grpc
from relevo.v1.context_pb2 import ContextKey

from relevo_server.keys import Key
from relevo_server.revisions import MAX_REVISION

_CONNECTION_ERRORS = {
    "WRONG_VERSION_NUMBER": "the server does not speak TLS: leave --tls out",
    "CERTIFICATE_VERIFY_FAILED": "the server's certificate is not trusted: name its CA with --ca",
    "Hostname Verification Check failed": "the server's certificate does not name this host",
    "Failed parsing HTTP/2": "what listens there does not speak gRPC",
    "Socket closed": "the server closed the connection at once: it may speak TLS (--tls)",
}

OK, FAILED, USAGE, NO_ENTRY = 0, 1, 2, 3
_EXACT = 1 << 53
_MAX_SECONDS = 10**9

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"
Operation = Callable[[store_pb2_grpc.ContextStoreStub, argparse.Namespace], Json]


def add_get(commands: Any) -> None:
    """Add `relevo get KEY`."""
    parser = _add(commands, "get", "print an entry", _get)
    parser.add_argument("key", type=_key, metavar="KEY", help="scope:tenant_id:id, parts encoded")
    parser.add_argument("--layers", action="store_true", help="print the included entries too")


def add_put(commands: Any) -> None:
    """Add `relevo put KEY [FILE]`."""
    parser = _add(commands, "put", "write an entry, whole or in part", _put)
    parser.add_argument("key", type=_key, metavar="KEY", help="scope:tenant_id:id, parts encoded")
    parser.add_argument(
        "file",
        nargs="?",
        default="-",
        metavar="FILE",
        help="the context as a JSON object (default: -, standard input)",
    )
    parser.add_argument("--ttl", type=float, metavar="SECONDS", help="how long the entry lives")
    parser.add_argument(
        "--mask",
        action="append",
        default=[],
        metavar="PATH",
        help="write this part only, for example llm_config.model; can be repeated",
    )
    condition = parser.add_mutually_exclusive_group()
    condition.add_argument("--if-version", type=int, metavar="VERSION", help="only over this one")
    condition.add_argument("--if-absent", action="store_true", help="only if there is no entry")


def add_invalidate(commands: Any) -> None:
    """Add `relevo invalidate KEY...` and `relevo invalidate --tenant TENANT`."""
    parser = _add(commands, "invalidate", "end entries", _invalidate)
    parser.add_argument(
        "keys", nargs="*", type=_plain_key, metavar="KEY", help="scope:tenant_id:id"
    )
    parser.add_argument("--tenant", help="end all entries of this tenant")
    parser.add_argument("--scope", default="", help="with --tenant: only those of this scope")


def _add(commands: Any, name: str, text: str, operation: Operation) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=text,
        epilog="Exit codes: 0 done, 1 failed, 2 wrong usage or a malformed field, 3 no such entry. "
        "RELEVO_TOKEN is sent as the bearer token.",
    )
    parser.add_argument(
        "--server",
        default=os.environ.get("RELEVO_SERVER", "127.0.0.1:7390"),
        metavar="ADDRESS",
        help="default: RELEVO_SERVER, else %(default)s",
    )
    parser.add_argument("--tls", action="store_true", help="speak TLS")
    parser.add_argument("--ca", type=Path, metavar="FILE", help="with --tls: trust this CA (PEM)")
    parser.add_argument(
        "--timeout", type=float, default=5.0, metavar="SECONDS", help="default: %(default)s"
    )
    parser.set_defaults(run=partial(_run, operation), parser=parser)
    return parser


def _run(operation: Operation, options: argparse.Namespace) -> int:
    if not options.server:
        return _fail(USAGE, "--server: must be an address")
    try:
        with _channel(options) as channel:
            output = operation(store_pb2_grpc.ContextStoreStub(channel), options)
    except grpc.RpcError as error:
        return _explain(error)
    except (ValueError, OSError) as error:
        return _fail(USAGE, str(error))
    print(json.dumps(output, indent=2, ensure_ascii=False))
    return OK


def _channel(options: argparse.Namespace) -> grpc.Channel:
    sizes = [("grpc.max_receive_message_length", -1)]
    if options.tls:
        authority = options.ca.read_bytes() if options.ca else None
        credentials = grpc.ssl_channel_credentials(authority)
        return grpc.secure_channel(options.server, credentials, sizes)
    return grpc.insecure_channel(options.server, sizes)


def _call_options(options: argparse.Namespace) -> dict[str, Any]:
    token = os.environ.get("RELEVO_TOKEN")
    metadata = [("authorization", f"Bearer {token}")] if token else []
    return {"timeout": options.timeout, "metadata": metadata}


def _get(stub: store_pb2_grpc.ContextStoreStub, options: argparse.Namespace) -> Json:
    request = store_pb2.GetRequest(key=_message(options.key), include_layers=options.layers)
    return _json(stub.Get(request, **_call_options(options)))


def _put(stub: store_pb2_grpc.ContextStoreStub, options: argparse.Namespace) -> Json:
    request = store_pb2.PutRequest(
        key=_message(options.key), update_mask=FieldMask(paths=options.mask)
    )
    text = sys.stdin.read() if options.file == "-" else Path(options.file).read_text("utf-8")
    _read_context(text, request)
    if options.ttl is not None:
        if not 0 < options.ttl <= _MAX_SECONDS:
            raise ValueError("--ttl: must be a time to live in seconds")
        request.ttl.FromMilliseconds(math.ceil(options.ttl * 1000))
    if options.if_version is not None:
        if not 0 < options.if_version <= MAX_REVISION:
            raise ValueError("--if-version: must be a version, from 1 to 2^63 - 1")
        request.if_version = options.if_version
    elif options.if_absent:
        request.if_absent = True
    return _json(stub.Put(request, **_call_options(options)))


def _invalidate(stub: store_pb2_grpc.ContextStoreStub, options: argparse.Namespace) -> Json:
    if bool(options.keys) == bool(options.tenant):
        raise ValueError("give either keys or --tenant")
    if options.scope and not options.tenant:
        raise ValueError("--scope goes with --tenant")
    _refuse_stars(options)
    request = store_pb2.InvalidateRequest(request_id=uuid.uuid4().hex)
    if options.tenant:
        request.tenant.tenant_id = options.tenant
        request.tenant.scope = options.scope
    else:
        request.keys.keys.extend(map(_message, options.keys))
    return _json(stub.Invalidate(request, **_call_options(options)))


def _refuse_stars(options: argparse.Namespace) -> None:
    """Raise ValueError for a `*`: a principal's means all, here it would be a tenant's name."""
    if options.tenant == "*":
        raise ValueError("--tenant: * does not mean all tenants; name each of them")
    if options.scope == "*":
        raise ValueError("--scope: * does not mean all scopes; leave --scope out for that")


def _plain_key(text: str) -> Key:
    """Parse a key to invalidate. A `*` is refused: the text form of the character is %2A."""
    if "*" in text:
        raise argparse.ArgumentTypeError(
            "* does not mean all; --tenant ends all of a tenant's, and %2A is the character"
        )
    return _key(text)


def _key(text: str) -> Key:
    try:
        return Key.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _message(key: Key) -> ContextKey:
    return ContextKey(scope=key.scope, tenant_id=key.tenant_id, id=key.id)


def _read_context(text: str, request: store_pb2.PutRequest) -> None:
    try:
        data: Json = json.loads(text)
    except ValueError as error:
        raise ValueError(f"context: is not JSON: {error}") from None
    except RecursionError:
        raise ValueError("context: is nested too deeply") from None
    if not isinstance(data, dict):
        raise ValueError("context: must be a JSON object")  # noqa: TRY004 - the user's mistake
    for path in _inexact(data, "context"):
        raise ValueError(f"{path}: a number that JSON cannot hold exactly")
    try:
        json_format.ParseDict(data, request.context)
    except json_format.ParseError as error:
        raise ValueError(f"context: {str(error).splitlines()[0]}") from None
    request.context.SetInParent()


def _inexact(value: Json, path: str) -> Iterator[str]:
    """The paths of numbers that a Struct would change: big integers, NaN, infinities."""
    match value:
        case bool():
            pass
        case int() if not -_EXACT <= value <= _EXACT:
            yield path
        case float() if not math.isfinite(value):
            yield path
        case dict():
            for name, item in value.items():
                yield from _inexact(item, f"{path}.{name}")
        case list():
            for i, item in enumerate(value):
                yield from _inexact(item, f"{path}[{i}]")
        case _:
            pass


def _json(message: Message) -> Json:
    return _integral(json_format.MessageToDict(message, preserving_proto_field_name=True))


def _integral(value: Json) -> Json:
    """The same JSON with 5 for 5.0, because a Struct has doubles only."""
    match value:
        case float() if value.is_integer() and abs(value) <= _EXACT:
            return int(value)
        case dict():
            return {name: _integral(item) for name, item in value.items()}
        case list():
            return [_integral(item) for item in value]
        case _:
            return value


def _explain(error: grpc.RpcError) -> int:
    call: Any = error
    code: grpc.StatusCode = call.code()
    info = ErrorInfo()
    for name, value in call.trailing_metadata() or ():
        if name == "grpc-status-details-bin":
            for detail in store_pb2.Error.FromString(value).details:
                detail.Unpack(info)
    reason = f" ({info.reason})" if info.reason else ""
    exit_code = {grpc.StatusCode.INVALID_ARGUMENT: USAGE, grpc.StatusCode.NOT_FOUND: NO_ENTRY}
    text = _explained(call.details() or "")
    return _fail(exit_code.get(code, FAILED), f"{code.name}{reason}: {text}")


def _explained(details: str) -> str:
    """GRPC's text for a failed connection, with an explanation for the user before it."""
    if details.startswith("failed to connect"):
        for words, explanation in _CONNECTION_ERRORS.items():
            if words in details:
                return f"{explanation} ({details})"
    return details


def _fail(code: int, text: str) -> int:
    print(f"relevo: {text}", file=sys.stderr)
    return code
