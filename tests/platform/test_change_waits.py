"""Agent management's wait keeps turns from what a change has replaced, also if news are lost."""

from collections.abc import Iterator

import httpx
import pytest
from nooble.configuration import AGENT
from nooble.services import agent_management
from nooble.services.agent_management import AgentManagement
from nooble.wiring import STALENESS
from relevo_client import AsyncContextClient, CacheOptions
from relevo_client.testing import LocalStore
from relevo_demo import files
from support.network.proxy import Proxy
from support.waiting import until_async

KEY = next(key for key in files.configurations() if key.scope == AGENT)


@pytest.fixture
def store() -> Iterator[LocalStore]:
    """A store."""
    with LocalStore() as running:
        yield running


@pytest.fixture
def way(store: LocalStore) -> Iterator[Proxy]:
    """The orchestrator's way to the store."""
    with Proxy(int(store.address.rpartition(":")[2])) as proxy:
        yield proxy


@pytest.mark.parametrize("waits", [True, False])
async def test_a_change_whose_news_are_lost(
    store: LocalStore, way: Proxy, waits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No turn after a change's answer has the old value; without the wait, one may."""
    # Without the wait for so long that the copy is trusted on a busy machine, too.
    cache = CacheOptions(max_staleness=STALENESS if waits else 30)
    if not waits:
        monkeypatch.setattr(agent_management, "STALENESS", 0.0)
    async with (
        AsyncContextClient(store.address, cache=None, timeout=10) as owner,
        AsyncContextClient(f"127.0.0.1:{way.port}", cache=cache, timeout=10) as edge,
        httpx.AsyncClient(
            transport=httpx.ASGITransport(AgentManagement(owner).app()), base_url="http://owner"
        ) as management,
    ):
        await owner.put(KEY, files.configurations()[KEY])
        await until_async(lambda: _is_cached(edge), what="the orchestrator has the agent")
        way.to_client.hold()
        change = {"llm_config": {"max_tokens": 99}}
        (await management.patch(f"/configurations/{KEY.text}", json=change)).raise_for_status()
        found = edge.peek(KEY)
        way.to_client.let_go()
    is_old = found is not None and found.context.llm_config["max_tokens"] != 99
    assert is_old is not waits


async def _is_cached(edge: AsyncContextClient) -> bool:
    await edge.resolve(KEY)
    return edge.peek(KEY) is not None
