"""How commands fail: exit codes, and one line that says why. It never quotes a context."""

import sys
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any, ParamSpec

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import ErrorInfo
from relevo.v1.store_pb2 import Error

OK, FAILED, USAGE, NO_ENTRY = 0, 1, 2, 3

_EXIT_CODES = {grpc.StatusCode.INVALID_ARGUMENT: USAGE, grpc.StatusCode.NOT_FOUND: NO_ENTRY}
_CONNECTION_ERRORS = {
    "WRONG_VERSION_NUMBER": "the server does not speak TLS: leave --tls out",
    "CERTIFICATE_VERIFY_FAILED": "the server's certificate is not trusted: name its CA with --ca",
    "Hostname Verification Check failed": "the server's certificate does not name this host",
    "Failed parsing HTTP/2": "the address is not that of a gRPC server",
    "Socket closed": "the server closed the connection at once: it may speak TLS (--tls)",
}
_UNKNOWN_CALL = (
    "the server does not know this call: it is older than this command, or no Relevo server; "
    "`relevo get`, `put`, `invalidate` and `watch` work with all versions"
)


class UsageError(ValueError):
    """Raised for a wrong command line or input. Its text goes to the user."""


def explain(error: grpc.RpcError) -> tuple[int, str]:
    """The exit code and the text for a failed call."""
    call: Any = error
    code: grpc.StatusCode = call.code()
    details: str = call.details() or ""
    reason = info_of(error).reason
    if code is grpc.StatusCode.UNIMPLEMENTED and not reason:
        return FAILED, f"{code.name}: {_UNKNOWN_CALL}"
    named = f"{code.name} ({reason})" if reason else code.name
    return _EXIT_CODES.get(code, FAILED), f"{named}: {_explained(details)}"


def info_of(error: grpc.RpcError) -> ErrorInfo:
    """The reason of a failed call with its details, empty if the call has none."""
    call: Any = error
    info = ErrorInfo()
    for name, value in call.trailing_metadata() or ():
        if name == "grpc-status-details-bin":
            with suppress(DecodeError):  # a proxy's: the code suffices
                for detail in Error.FromString(value).details:
                    detail.Unpack(info)
    return info


def _explained(details: str) -> str:
    """GRPC's text for a failed connection, with an explanation for the user before it."""
    if details.startswith("failed to connect"):
        for words, explanation in _CONNECTION_ERRORS.items():
            if words in details:
                return f"{explanation} ({details})"
    return details


def fail(code: int, text: str) -> int:
    """Print why the command fails, and return its exit code."""
    print(f"relevo: {text}", file=sys.stderr)
    return code


_Arguments = ParamSpec("_Arguments")


def reported(command: Callable[_Arguments, int]) -> Callable[_Arguments, int]:
    """The command, with its errors printed as one line and returned as exit codes."""

    @wraps(command)
    def run(*args: _Arguments.args, **options: _Arguments.kwargs) -> int:
        try:
            return command(*args, **options)
        except grpc.RpcError as error:
            return fail(*explain(error))
        except BrokenPipeError:
            raise  # of the output, not of a file
        except (ValueError, OSError) as error:
            return fail(USAGE, str(error))

    return run
