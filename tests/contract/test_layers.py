"""The rules of layers that `lint-imports` cannot express.

Its contracts are in pyproject.toml, and say what must not be imported. These tests say what must be
imported, what alone may be, and the rules for parts of other packages.
"""

import sys
import tomllib
from typing import Any

import pytest
from support.imports import ROOT, imports_of, reachable, within

CLIENT = imports_of("client")
SERVER = imports_of("server")
GENERATED = imports_of("generated/relevo/v1")
CONTRACTS: list[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))[
    "tool"
]["importlinter"]["contracts"]
(PURE,) = (each["source_modules"] for each in CONTRACTS if each["name"].startswith("Pure parts"))


def tops(imports: set[str]) -> set[str]:
    """The top-level packages of modules."""
    return {name.partition(".")[0] for name in imports}


@pytest.mark.parametrize("module", ["actions.faststream", "actions._reading"])
def test_the_part_that_knows_faststream(module: str) -> None:
    """The modules in the contract about FastStream do import it."""
    assert "faststream" in tops(CLIENT[f"relevo_client.{module}"])


@pytest.mark.parametrize("module", [m for m in CLIENT if m.startswith("relevo.")])
def test_the_plugin_knows_no_server(module: str) -> None:
    """Pytest and `relevo-run` load them wherever Relevo is installed; the linter reads none."""
    assert tops(CLIENT[module]) <= {"pytest", "relevo", "relevo_client", *sys.stdlib_module_names}


@pytest.mark.parametrize("module", GENERATED)
def test_generated_code_knows_neither(module: str) -> None:
    """The code generated from the contract imports only gRPC and protobuf."""
    assert tops(GENERATED[module]) <= {"google", "grpc", "relevo", "warnings"}


@pytest.mark.parametrize("module", PURE)
def test_pure_parts_know_no_asyncio_channels(module: str) -> None:
    """Pure modules import at most gRPC's statuses, and so does all that they import."""
    graph = within(CLIENT)
    for below in reachable(graph, module):
        assert not [name for name in CLIENT[below] if f"{name}.".startswith("grpc.aio.")]


@pytest.mark.parametrize("module", [m for m in CLIENT if ".asgi." in m])
def test_the_edge_knows_no_framework(module: str) -> None:
    """The middleware is plain ASGI: it imports no framework."""
    assert tops(CLIENT[module]) <= {"relevo_client", *sys.stdlib_module_names}


def test_the_service_asks_the_interface() -> None:
    """The service imports the storage interface; a contract says that it imports no backend."""
    assert "relevo_server.storage.interface" in within(SERVER)["relevo_server.service.store"]
