"""A server whose Admin service gives prepared answers, to test what is made of them."""

from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from relevo.admin.v1 import admin_pb2

SERVICE = "relevo.admin.v1.Admin"


@contextmanager
def fake_admin(**answers: Callable[[Any], Any]) -> Generator[str]:
    """Serve these methods, each a function of the request. Yields the address.

    Methods that are not given are UNIMPLEMENTED, as those of an older server.
    """
    handlers = {name: _handler(name, answer) for name, answer in answers.items()}
    with ThreadPoolExecutor(2) as pool:
        server = grpc.server(pool)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(None).wait()


def _handler(method: str, answer: Callable[[Any], Any]) -> "grpc.RpcMethodHandler[Any, Any]":
    def handle(request: Any, _: Any) -> Any:
        return answer(request)

    def serialized(response: Any) -> bytes:
        data: bytes = response.SerializeToString()
        return data

    methods = admin_pb2.DESCRIPTOR.services_by_name["Admin"].methods_by_name
    request: Any = getattr(admin_pb2, methods[method].input_type.name)
    return grpc.unary_unary_rpc_method_handler(
        handle, request_deserializer=request.FromString, response_serializer=serialized
    )
