"""How the services of a server are registered with gRPC."""

import pytest
from grpc.aio import _server
from relevo_server.server import Server
from relevo_server.settings import Settings


async def test_no_method_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """All handlers are generic: each registered method would cost every call of all others."""

    def refuse(*_: object) -> None:
        raise AssertionError("a method was registered")

    monkeypatch.setattr(_server.Server, "add_registered_method_handlers", refuse)
    async with Server(Settings.model_validate({"listen": "127.0.0.1:0", "store": "memory://"})):
        pass
