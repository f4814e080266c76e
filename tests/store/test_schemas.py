"""A Put that breaks the schema of its scope is refused, by the paths of its values."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode, aio
from relevo.v1.store_pb2 import LeaseRequest
from relevo_server.cli.reloading import Reloading
from relevo_server.schemas import MAX_SEARCHED_BYTES
from relevo_server.server import Server
from relevo_server.settings import Settings
from support.clients.calls import Stub, context, get, is_alive, key, masked, put
from support.failures import Failure, failure_of
from support.servers.serving import stub_of
from support.waiting import until_async

AGENT = key("support", scope="agent_config")
SCHEMA: dict[str, Any] = {
    "properties": {
        "user_id": False,
        "rag_config": {
            "required": ["top_k"],
            "properties": {
                "top_k": {"type": "integer", "minimum": 1},
                "modes": {"items": {"enum": ["dense", "sparse"]}},
            },
            "additionalProperties": False,
        },
    },
    "required": ["rag_config"],
}
VALID: dict[str, Any] = {"top_k": 5, "modes": ["dense"]}
SECRET = "sk-4f9a-what-nobody-is-told"  # noqa: S105 - no password


def written(folder: Path, schema: object) -> Path:
    """A file with a schema."""
    file = folder / "agent_config.json"
    file.write_text(json.dumps(schema))
    return file


@pytest.fixture
async def server(settings: Settings, tmp_path: Path) -> AsyncIterator[Server]:
    """A server with a schema for agents."""
    schemas = {"agent_config": written(tmp_path, SCHEMA)}
    async with Server(settings.model_copy(update={"schemas": schemas})) as running:
        yield running


def assert_refused(failure: Failure, *fields: str) -> None:
    """See that a Put was refused because of these values."""
    assert (failure.code, failure.reason) == (StatusCode.INVALID_ARGUMENT, "SCHEMA_VIOLATION")
    assert failure.metadata["scope"] == "agent_config"
    assert sorted(failure.fields) == sorted(fields)
    assert SECRET not in str(failure)


async def test_a_put_that_breaks_it(stub: Stub) -> None:
    """It is refused with every path, and nothing is written."""
    bad = context(
        user_id=SECRET, rag_config={"top_k": SECRET, "modes": ["dense", SECRET], "topk": SECRET}
    )
    failure = await failure_of(put(stub, AGENT, bad))
    rag = "context.rag_config"
    assert_refused(failure, "context.user_id", f"{rag}.top_k", f"{rag}.modes[1]", f"{rag}.topk")
    assert dict(failure.violations)[f"{rag}.top_k"] == "must be of the type integer"
    assert_refused(await failure_of(put(stub, AGENT)), rag)
    empty = await failure_of(put(stub, AGENT, context(rag_config={"modes": []})))
    assert empty.violations == ((f"{rag}.top_k", "must be given"),)
    assert not await is_alive(stub, AGENT)


async def test_others_are_written(stub: Stub) -> None:
    """What keeps the schema is written, and so is every entry of another scope."""
    await put(stub, AGENT, context(rag_config=VALID))
    assert (await get(stub, AGENT)).entry.context.rag_config["top_k"] == 5
    await put(stub, key(), context(rag_config={"anything": SECRET}))


async def test_a_mask(stub: Stub) -> None:
    """A Put with a mask is refused by the entry that it would make, and not by what it sends."""
    await put(stub, AGENT, context(rag_config=VALID))
    part = context(rag_config={"top_k": 7})
    await put(stub, AGENT, part, update_mask=masked("rag_config.top_k"))
    cleared = await failure_of(put(stub, AGENT, update_mask=masked("rag_config.top_k")))
    assert_refused(cleared, "context.rag_config.top_k")
    wrong = context(rag_config={"top_k": 0})
    failure = await failure_of(put(stub, AGENT, wrong, update_mask=masked("rag_config.top_k")))
    assert failure.violations == (("context.rag_config.top_k", "must be at least 1"),)
    assert (await get(stub, AGENT)).entry.context.rag_config["top_k"] == 7


async def test_a_put_under_a_lease(stub: Stub) -> None:
    """The Put that a lease is for is refused as any other; the lease is still held."""
    lease = (await stub.Lease(LeaseRequest(key=AGENT), timeout=10)).lease
    bad = context(rag_config={"top_k": 0})
    failure = await failure_of(put(stub, AGENT, bad, lease_token=lease.token))
    assert_refused(failure, "context.rag_config.top_k")
    await put(stub, AGENT, context(rag_config=VALID), lease_token=lease.token)


async def test_a_reload(server: Server, settings: Settings, tmp_path: Path) -> None:
    """A reload replaces schemas; one that cannot be used changes nothing at all.

    A Put that was done before it is still the same Put, if it is repeated.
    """
    file = tmp_path / "agent_config.json"
    new = settings.model_copy(update={"schemas": {"agent_config": file}})
    async with stub_of(server.address) as stub:
        first = await put(stub, AGENT, context(rag_config=VALID), request_id="once")
        written(tmp_path, {"required": ["llm_config"]})
        assert await server.reload(new) == []
        failure = await failure_of(put(stub, AGENT, context(rag_config=VALID)))
        assert_refused(failure, "context.llm_config")
        again = await put(stub, AGENT, context(rag_config=VALID), request_id="once")
        assert again.revision == first.revision
        written(tmp_path, {"type": "nonsense"})
        quieter = new.model_copy(update={"reload_interval": 9.0})
        with pytest.raises(ValueError, match=r"schemas\.agent_config: .*at #/type"):
            await server.reload(quieter)
        assert_refused(await failure_of(put(stub, AGENT)), "context.llm_config")
        assert await server.reload(settings) == []
        await put(stub, AGENT)


async def test_a_changed_file(server: Server, settings: Settings, tmp_path: Path) -> None:
    """A server reloads by itself when a file of a schema has changed."""
    files = {"agent_config": tmp_path / "agent_config.json"}
    often = settings.model_copy(update={"schemas": files, "reload_interval": 0.05})
    reloading = asyncio.create_task(Reloading(server, often, lambda: often, None).run())
    async with stub_of(server.address) as stub:
        await put(stub, AGENT, context(rag_config=VALID))
        written(tmp_path, {"required": ["llm_config"]})

        async def is_refused() -> bool:
            try:
                await put(stub, AGENT, context(rag_config=VALID))
            except aio.AioRpcError as error:
                return error.code() is StatusCode.INVALID_ARGUMENT
            return False

        await until_async(is_refused)
    reloading.cancel()


async def test_what_a_stranger_s_value_may_cost(stub: Stub) -> None:
    """In a large context the search ends with the first broken rule."""
    many: list[Any] = ["wrong"] * MAX_SEARCHED_BYTES
    large = context(rag_config={"top_k": 1, "modes": many})
    failure = await failure_of(put(stub, AGENT, large))
    assert_refused(failure, "context.rag_config.modes[0]")
    small = context(rag_config={"top_k": 1, "modes": many[:30]})
    failure = await failure_of(put(stub, AGENT, small))
    left_out = int(failure.metadata["violations_left_out"])  # an error has little room
    assert len(failure.fields) > 10
    assert len(failure.fields) + left_out == 30
