"""The targets that get references from the channels of an instrumented process."""

from typing import Any

import pytest
from grpc import aio
from relevo_client import ContextEntry, use_context
from support.clients.callers import calling
from support.instrumenting import Instrument, each_kind, methods_of, opened, seen
from support.servers.hosting import hosted
from support.servers.scenes import NOBODY, Scene
from support.servers.shapes import Kind


@each_kind
async def test_targets(instrumented: Instrument, entry: ContextEntry, kind: Kind) -> None:
    """References go to the targets that `allow` has, and to no other one."""
    instrumented(trust_callers=True, allow=["*.internal:*", "127.0.0.1:*"])
    scene = Scene()
    async with hosted(kind, methods_of(kind, scene)) as host:
        for target, carries in (
            (host.address, True),
            (f"dns:///{host.address}", True),
            (host.address.replace("127.0.0.1", "localhost"), False),
            (f"ipv4:{host.address}", False),
        ):
            async with calling(kind, target, interceptors=()) as caller:
                expected = f"u-1 {entry.ref}" if carries else NOBODY
                assert await seen(caller, scene, entry) == expected, target


class Spy(aio.UnaryUnaryClientInterceptor):
    """Answers calls itself, and keeps the names of their metadata."""

    def __init__(self) -> None:
        self.names: list[str] = []

    async def intercept_unary_unary(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        """Answer, and send nothing."""
        del continuation
        self.names = [name for name, _ in client_call_details.metadata or ()]
        return request


@pytest.mark.parametrize(
    "target, carries",
    [
        ("localhost:1", True),
        ("[::1]:1", True),
        ("unix:/run/orders.sock", True),
        ("orders:50051", False),
        ("api.example.com:443", False),
        ("dns:///api.example.com:443", False),
    ],
)
async def test_targets_by_default(
    instrumented: Instrument,
    entry: ContextEntry,
    caplog: pytest.LogCaptureFixture,
    target: str,
    carries: bool,
) -> None:
    """If nobody names targets, references stay on this host, and a warning tells what to set."""
    instrumented()
    spy = Spy()
    async with aio.insecure_channel(target, interceptors=[spy]) as channel:
        with use_context(entry):
            assert await opened(channel)(b"?") == b"?"
    assert ("context-key" in spy.names) is carries
    assert ("RELEVO_ALLOW" in caplog.text) is not carries
    assert entry.ref.key.text not in caplog.text
