"""A blocking gRPC service with one unary method: bare, or with an interceptor.

`python -m benchmarks.blocking_service SIDE` prints its address and serves until it is killed. SIDE
is `bare`, `idle`, `relevo` or `instrumented`.
"""

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from relevo_client import (
    ContextClient,
    ContextEntry,
    ContextKey,
    ContextRef,
    instrument,
    server_interceptor,
)
from support.entries import entry_of

from benchmarks.service import METHOD

_ENTRY = entry_of("someone", revision=1_750_000_000_000 << 20)
_THREADS = 10


class CachingClient(ContextClient):
    """A client with every context in its cache."""

    def peek(self, target: ContextKey | ContextRef) -> ContextEntry | None:
        """Return the cached entry."""
        del target
        return _ENTRY


def _found(_: ContextKey) -> ContextEntry:
    return _ENTRY


class Idle(grpc.ServerInterceptor):
    """An interceptor that does nothing."""

    def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        """Continue unchanged."""
        return continuation(handler_call_details)


def answer(request: bytes, context: Any) -> bytes:
    """Return the request."""
    del context
    return request


def serve(side: str) -> None:
    """Serve on a free port."""
    interceptors: dict[str, Callable[[], Any]] = {
        "idle": Idle,
        "relevo": lambda: server_interceptor(CachingClient("nowhere:1"), trust_callers=True),
    }
    if side == "instrumented":
        mine = instrument(kinds={"grpc.server"}, target="nowhere:1", trust_callers=True)
        vars(mine.client())["peek"] = _found
    used = [interceptors[side]()] if side in interceptors else []
    server = grpc.server(ThreadPoolExecutor(_THREADS), interceptors=used)
    service, _, method = METHOD[1:].rpartition("/")
    handlers: dict[str, Any] = {method: grpc.unary_unary_rpc_method_handler(answer)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(f"127.0.0.1:{port}", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    serve(sys.argv[1])
