"""README.md: what it shows works."""

import ast
from typing import Any

import relevo_client
from grpc import aio
from relevo.demo.v1 import rag_platform_pb2, rag_platform_pb2_grpc
from relevo_client import ExecutionContext
from relevo_server.server import Server
from support.pages import Name, Page

PAGE = Page("../README.md")
OWNER, FIRST, EVERY = (
    "The owner of a configuration puts it once per change:",
    "The first service finds or creates the conversation's context, and calls on:",
    "Every service after it has the context:",
)
STORE, SERVICE = "localhost:7390", "localhost:50051"
"""The addresses on the page."""


def names() -> dict[str, Any]:
    """What the page says is imported."""
    modules = (relevo_client, rag_platform_pb2, rag_platform_pb2_grpc)
    found: dict[str, Any] = {"aio": aio}
    for module in modules:
        found.update(vars(module))
    return found


async def ran(label: str, given: dict[str, Any], addresses: dict[str, str]) -> None:
    """Run a block, which may await, with the addresses of the test's own servers."""
    code = PAGE.blocks[Name("Use", label)]
    for shown, real in addresses.items():
        code = code.replace(shown, real)
    compiled = compile(code, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    running = eval(compiled, given)  # noqa: S307 - our own page
    if running is not None:
        await running


def test_all_of_its_python_is_run() -> None:
    """Every block of the page is one that the test below runs; together they are 20 lines."""
    assert PAGE.blocks.keys() == {Name("Use", label) for label in (OWNER, FIRST, EVERY)}
    lines = [line for block in PAGE.blocks.values() for line in block.splitlines() if line.strip()]
    assert len(lines) <= 20


async def test_its_services(server: Server, port: int) -> None:
    """The services on the page work with one context, and a change reaches both."""

    async def ask(model: str, text: str) -> object:
        return rag_platform_pb2.RunAgentResponse(text=f"{model}: {text}")

    given = names()
    given["ask"] = ask
    addresses = {STORE: server.address, SERVICE: f"127.0.0.1:{port}"}
    for label in (OWNER, FIRST, EVERY):
        await ran(label, given, addresses)
    execution = given["server"]
    rag_platform_pb2_grpc.add_ExecutionServiceServicer_to_server(given["Execution"](), execution)
    execution.add_insecure_port(addresses[SERVICE])
    await execution.start()
    async with given["contexts"] as contexts, given["channel"]:
        assert (await given["converse"]("c-1", "Hello")).text == "m-1: Hello"
        changed = ExecutionContext.model_validate({"llm_config": {"model": "m-2"}})
        await contexts.put(given["agent"], changed)
        assert (await given["converse"]("c-1", "Hello")).text == "m-2: Hello"
    await execution.stop(None)
