"""Node.js writes, Python reads."""

import asyncio
import re
from dataclasses import asdict
from typing import Any

import pytest
from e2e.node.running import Functions, Refused
from e2e.node.values import AGENT, VALUES
from grpc import StatusCode
from relevo_client import AsyncContextClient, ExecutionContext
from relevo_server.server import Server
from support.exact import as_read, exactly
from support.servers.relay import Relay


async def call_node(functions: Functions, name: str, *arguments: Any) -> Any:
    """The result of a function in Node.js, while this process continues to serve."""
    return await asyncio.to_thread(functions, name, *arguments)


async def test_python_reads_what_node_writes(
    functions: Functions, server: Server, client: AsyncContextClient
) -> None:
    """Every kind of value arrives exactly; the answer's revision can be used as a reference."""
    written = await call_node(functions, "put", server.address, asdict(AGENT), VALUES)
    entry = await client.get(AGENT, min_revision=int(written["revision"]))
    assert (written["key"], int(written["revision"])) == (asdict(AGENT), entry.version)
    assert exactly(entry.context.llm_config, as_read(VALUES))
    assert entry.context.agent_id == AGENT.id


async def test_a_mask_leaves_the_rest(
    functions: Functions, server: Server, client: AsyncContextClient
) -> None:
    """A change writes only the settings that it names, with any names."""
    await client.put(AGENT, ExecutionContext(user_id="u", llm_config=VALUES))
    settings = {"null": 1, "a.b`c": 2, "__proto__": 4, "new": {"five": 5}}
    await call_node(functions, "change", server.address, asdict(AGENT), settings)
    context = (await client.get(AGENT)).context
    assert exactly(context.llm_config, as_read({**VALUES, **settings}))
    assert context.user_id == "u"


async def test_a_write_over_another_version(
    functions: Functions, server: Server, client: AsyncContextClient
) -> None:
    """A write over an outdated version is refused with a reason."""
    key = asdict(AGENT)
    first = await client.put(AGENT, ExecutionContext())
    second = await call_node(functions, "put", server.address, key, {}, str(first.revision))
    with pytest.raises(Refused) as refused:
        await call_node(functions, "put", server.address, key, {}, str(first.revision))
    assert refused.value.reason == "VERSION_MISMATCH"
    assert (await client.get(AGENT)).version == int(second["revision"])


@pytest.mark.parametrize("status", ["UNAVAILABLE", "CANCELLED"])
async def test_a_write_whose_answer_is_lost(
    functions: Functions, server: Server, client: AsyncContextClient, status: str
) -> None:
    """A Put that is repeated after a lost answer writes once, and returns the first answer."""
    before = await client.put(AGENT, ExecutionContext())
    async with Relay(server.address) as relay:
        relay.answers_to_lose, relay.lost_with = 1, StatusCode[status]
        agent = relay.address, asdict(AGENT), {"a": 1}
        written = await call_node(functions, "put", *agent, str(before.revision))
        first, second = relay.of("Put")
    assert first.request == second.request
    assert (await client.get(AGENT)).version == int(written["revision"])


@pytest.mark.parametrize(
    "settings, path",
    [
        ({"a": [1, {"b": 10**400}]}, "llm_config.a[1].b"),
        ({"a": "\ud800"}, "llm_config.a"),
        ({"\ud800": 1}, "the keys of llm_config"),
    ],
    ids=["infinity, as JavaScript reads this", "half a character", "half a character as a key"],
)
def test_what_a_section_cannot_hold(
    functions: Functions, settings: dict[str, Any], path: str
) -> None:
    """An invalid value is refused with its path before anything is sent, never changed silently."""
    with pytest.raises(Refused, match=rf"^{re.escape(path)}: ") as refused:
        functions("put", "127.0.0.1:1", asdict(AGENT), settings)
    assert refused.value.kind == "TypeError"
