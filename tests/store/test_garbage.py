"""The memory of calls that the server refuses: it is free at once.

What ends a call holds the frames that it passed, and gRPC holds it with the call. If a frame holds
the call in turn, all of it stays until a garbage collection: the requests of thousands of calls.
"""

import gc
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from grpc import StatusCode
from relevo.v1.store_pb2 import GetRequest
from relevo_server.server import Server
from relevo_server.settings import Settings
from relevo_server.telemetry.histograms import Histogram
from relevo_server.telemetry.telemetry import NOTHING, Telemetry
from support.clients.access import bearer, principal
from support.clients.calls import key
from support.counted import uncollected
from support.failures import failure_of
from support.servers.serving import stub_of
from support.waiting import until_async


@pytest.fixture
def by_hand() -> Iterator[None]:
    """No garbage is collected during the test."""
    gc.collect()
    with uncollected():
        yield


def is_in_memory(sent: tuple[str, str]) -> bool:
    """Whether memory holds a call with this entry in its metadata."""
    contexts: list[Any] = [
        each for each in gc.get_objects() if type(each).__name__ == "_ServicerContext"
    ]
    return any(sent in (each.invocation_metadata() or ()) for each in contexts)


@pytest.fixture
def store_url() -> str:
    """Calls end in the same way, whatever the store is."""
    return "memory://"


@pytest.mark.parametrize(
    "token, scope, code",
    [
        pytest.param("known", "", StatusCode.INVALID_ARGUMENT, id="arguments"),
        pytest.param("known", "agent", StatusCode.NOT_FOUND, id="answer"),
        pytest.param("unknown", "agent", StatusCode.UNAUTHENTICATED, id="stranger"),
    ],
)
@pytest.mark.parametrize(
    "telemetry",
    [
        pytest.param(NOTHING, id="not measured"),
        pytest.param(Telemetry(calls=Histogram("calls", "", [1.0])), id="measured"),
    ],
)
@pytest.mark.usefixtures("by_hand")
async def test_a_refused_call_is_gone(
    settings: Settings, token: str, scope: str, code: StatusCode, telemetry: Telemetry
) -> None:
    """Of calls that were refused, nothing is left, though no garbage was collected."""
    more = {"principals": (principal("known", "acme"),)}
    request = GetRequest(key=key(scope=scope))
    mark = "mark", uuid.uuid4().hex  # clients of other tests may call their servers meanwhile
    server = Server(settings.model_copy(update=more), telemetry=telemetry)
    async with server, stub_of(server.address) as stub:
        for _ in range(10):
            failure = await failure_of(stub.Get(request, metadata=(*bearer(token), mark)))
            assert failure.code is code
        await until_async(lambda: not is_in_memory(mark))
