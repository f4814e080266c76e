"""docs/instrument.md: what it shows works, and its tables are complete."""

import re
from pathlib import Path
from typing import Any

from grpc import aio
from relevo.demo.v1 import rag_platform_pb2, rag_platform_pb2_grpc
from relevo_client import (
    ContextKey,
    ExecutionContext,
    instrument,
    require_context,
)
from relevo_client._instrument.settings import KINDS, VARIABLES, Settings
from relevo_client.testing import LocalStore
from support.pages import DOCS, Name, Page

PAGE = Page("instrument.md")
FIRST_LINES = Name("Begin")
BEGINS = Name("Begin", "A service that begins conversations")
STORE = "store.internal:7390"
"""The store's address on the page."""


def section(heading: str) -> str:
    """The text of the page under a heading."""
    text = (Path(DOCS) / "instrument.md").read_text("utf-8")
    return text.partition(f"## {heading}\n")[2].partition("\n## ")[0]


def test_all_of_its_python_is_run() -> None:
    """Every block of the page is one that the test below runs."""
    assert PAGE.blocks.keys() == {FIRST_LINES, BEGINS}


async def test_its_service(relevo_store: LocalStore) -> None:
    """A service whose first lines are the page's begins conversations, and serves them."""
    address = relevo_store.address
    page = Page("instrument.md")
    page.blocks[FIRST_LINES] = page.blocks[FIRST_LINES].replace(STORE, address)
    page.run(FIRST_LINES)
    await instrument(target=address, trust_callers=True, allow=["*.internal:*"]).aundo()
    # A port of this host for the service, which is none of the page's targets.
    mine = instrument(target=address, trust_callers=True)

    class Execution(rag_platform_pb2_grpc.ExecutionServiceServicer):
        async def RunAgent(  # noqa: N802 - gRPC's name
            self, request: rag_platform_pb2.RunAgentRequest, context: Any
        ) -> rag_platform_pb2.RunAgentResponse:
            del request, context
            return rag_platform_pb2.RunAgentResponse(text=require_context().llm_config["model"])

    async def begin(_: ContextKey) -> ExecutionContext:
        return ExecutionContext.model_validate({"llm_config": {"model": "m-1"}})

    execution = aio.server()
    rag_platform_pb2_grpc.add_ExecutionServiceServicer_to_server(Execution(), execution)
    port = execution.add_insecure_port("127.0.0.1:0")
    await execution.start()
    try:
        async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = rag_platform_pb2_grpc.ExecutionServiceStub(channel)
            service = page.run(
                BEGINS,
                **{**vars(rag_platform_pb2), "begin": begin, "stub": stub},
                instrument=instrument,
                ContextKey=ContextKey,
            )
            assert (await service.converse("c-1", "Hello")).text == "m-1"
    finally:
        await execution.stop(None)
        await mine.aundo()


def test_the_table_of_kinds() -> None:
    """The page has each kind."""
    assert set(re.findall(r"^\| `([\w.]+)` \|", section("What has its context"), re.M)) == KINDS


def test_the_table_of_settings() -> None:
    """The page has each setting, with its variable if it has one."""
    rows = re.findall(r"^\|(.*?)\| (`.*?`) \|", section("Settings"), re.MULTILINE)
    named: dict[str, str | None] = {}
    for variables, arguments in rows:
        given = re.findall(r"`(\w+)`", variables)
        for place, argument in enumerate(re.findall(r"`(\w+)`", arguments)):
            named[argument] = given[place] if given else None
    assert named == {name: VARIABLES.get(name) for name in Settings.model_fields}
