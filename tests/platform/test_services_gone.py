"""A service that others rely on is killed amid open conversations."""

import pytest
from relevo_client import ContextKey
from support.platform.nooble import WORKERS, Answer, Conversation, Platform

pytestmark = pytest.mark.asyncio(loop_scope="function")

SUPPORT = ContextKey("agent_config", "meridian", "support")


async def known_to_all(platform: Platform, conversation: Conversation) -> Answer:
    """Take turns until every process has the conversation cached, and return the last answer.

    A first step asks the store; the copy comes later, through the stream. A step without a further
    call of its process shows that the copy is there.
    """
    missing = {pid for service in (*WORKERS, "orchestrator") for pid in platform.named(service)}
    calls: dict[int, int] = {}
    for _ in range(200):
        answer = await conversation.ask()
        for seen in answer.seen:
            if calls.get(seen.pid) == seen.store_calls:
                missing.discard(seen.pid)
            calls[seen.pid] = seen.store_calls
        if not missing:
            return answer
    raise AssertionError(missing)


async def test_agent_management_is_gone(own_platform: Platform) -> None:
    """Without agent management, conversations continue and begin with the store's entries."""
    platform = own_platform
    async with platform.conversation("meridian", "support") as conversation:
        before = await conversation.ask()
        await platform.kill("agent_management")
        assert (await conversation.ask()).said["text"] == before.said["text"]
        async with platform.conversation("meridian", "support") as another:
            assert (await another.ask()).versions == before.versions
        # The store has no entry of this agent, and no service can create it.
        refusal = await platform.refusal(platform.talk("lumen", "billing").headers)
        assert (refusal.status, refusal.reason) == (503, "UNAVAILABLE")
        assert "retry-after" in refusal.headers
        assert (await conversation.ask()).versions == before.versions


async def test_the_store_is_gone(own_platform: Platform) -> None:
    """Without the store, open conversations use last known contexts; none begins, none changes."""
    platform = own_platform
    async with (
        platform.conversation("meridian", "support") as conversation,
        platform.conversation("meridian", "advisor") as silent,
    ):
        before = await known_to_all(platform, conversation)
        await platform.kill("store")
        for _ in range(3):
            answer = await conversation.ask()
            assert answer.said["text"] == before.said["text"]
            assert answer.versions == before.versions
        # It has had no turn. But the orchestrator knows its context, which rides to the others.
        assert not (await silent.ask()).error
        refusal = await platform.refusal(platform.talk("meridian", "support").headers)
        assert (refusal.status, refusal.reason) == (503, "UNAVAILABLE")
        assert "retry-after" in refusal.headers
        response = await platform.patch(SUPPORT.text, {"rag_config": {"top_k": 3}})
        assert response.status_code == 503
        assert "repeat it" in response.text
        assert (await conversation.ask()).versions == before.versions
