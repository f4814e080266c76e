"""The layers of the house: client and server stand on generated code, no import runs back up."""

import sys

import pytest
from support.imports import imports_of, in_order, reachable, within

CLIENT = imports_of("client")
SERVER = imports_of("server")
GENERATED = imports_of("generated/relevo/v1")

# What has no I/O, no threads and no event loop.
PURE = [
    f"relevo_client.{name}"
    for name in (
        "_store.requests",
        "_context.digest",
        "_context.entry",
        "_context.errors",
        "_context.frozen",
        "_context.keys",
        "_context.codec",
        "_propagation.metadata",
        "_context.model",
        "_propagation.fallbacks",
        "_context.values",
        "actions._json",
        "actions._messages",
        "asgi._answers",
        "asgi._headers",
        "filters",
    )
]
FASTSTREAM = {"relevo_client.actions.faststream", "relevo_client.actions._reading"}
DRIVERS = "asyncio.", "threading.", "concurrent.", "grpc.aio.", "socket.", "time."


def tops(imports: set[str]) -> set[str]:
    """The packages that modules come from."""
    return {name.partition(".")[0] for name in imports}


@pytest.mark.parametrize("module", [m for m in CLIENT if ".testing." not in m])
def test_the_client_knows_no_server(module: str) -> None:
    """The client needs nothing of a server's; its `testing` alone may start one."""
    assert tops(CLIENT[module]) & {"relevo_server", "redis", "structlog"} == set()


@pytest.mark.parametrize("module", CLIENT)
def test_one_part_knows_faststream(module: str) -> None:
    """Actions need no queue's library; who does not use FastStream's part does without it."""
    if module in FASTSTREAM:
        assert "faststream" in tops(CLIENT[module])
    else:
        assert "faststream" not in tops(CLIENT[module])
        assert not [name for name in CLIENT[module] if name.startswith(tuple(FASTSTREAM))]


@pytest.mark.parametrize("module", SERVER)
def test_the_server_knows_no_client(module: str) -> None:
    """The server has its own keys, errors and messages."""
    assert "relevo_client" not in tops(SERVER[module])


@pytest.mark.parametrize("module", GENERATED)
def test_generated_code_knows_neither(module: str) -> None:
    """What the contract generates needs gRPC and protobuf only."""
    assert tops(GENERATED[module]) <= {"google", "grpc", "relevo", "warnings"}


@pytest.mark.parametrize("imports", [CLIENT, SERVER], ids=["client", "server"])
def test_no_import_runs_back_up(imports: dict[str, set[str]]) -> None:
    """The modules have an order in which each only knows those before it."""
    assert len(in_order(within(imports))) == len(imports)


@pytest.mark.parametrize("module", PURE)
def test_pure_parts_know_no_drivers(module: str) -> None:
    """Model, keys and metadata do no I/O and wait for nothing, and so does all they stand on."""
    for below in reachable(within(CLIENT), module):
        assert not [name for name in CLIENT[below] if f"{name}.".startswith(DRIVERS)]


@pytest.mark.parametrize("module", [m for m in CLIENT if ".asgi." in m])
def test_the_edge_knows_no_framework(module: str) -> None:
    """The middleware is plain ASGI: any framework's applications, and none needed."""
    assert tops(CLIENT[module]) <= {"relevo_client", *sys.stdlib_module_names}


def test_drivers_know_no_interceptors() -> None:
    """Interceptors stand on the clients, not the other way round."""
    clients = [module for module in CLIENT if "._client." in module]
    assert clients
    below = reachable(within(CLIENT), *clients)
    assert not [module for module in below if "._propagation." in module]


def test_the_service_knows_no_backend() -> None:
    """The service asks the storage interface; only what opens a URL knows the backends."""
    graph = within(SERVER)
    backends = {"relevo_server.storage.memory", "relevo_server.storage.redis.storage"}
    knowing = {module for module, found in graph.items() if found & backends}
    assert knowing == {"relevo_server.storage.opening"}
    assert "relevo_server.storage.interface" in graph["relevo_server.service.store"]


@pytest.mark.parametrize("module", [m for m in SERVER if ".event_log." in m])
def test_the_logs_know_no_watch(module: str) -> None:
    """Who follows the logs knows nothing of the streams of the service that are told."""
    below = reachable(within(SERVER), module)
    assert not [name for name in below if ".service." in name]
