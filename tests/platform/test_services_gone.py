"""A service that others rely on is killed under open conversations."""

import pytest
from relevo_client import ContextKey
from support.platform.nooble import WORKERS, Answer, Conversation, Platform

pytestmark = pytest.mark.asyncio(loop_scope="function")

SUPPORT = ContextKey("agent_config", "meridian", "support")


async def known_to_all(platform: Platform, conversation: Conversation) -> Answer:
    """Turns until every process has a copy of what the conversation is; the last one's answer.

    Its first step asks the store; the copy comes through the stream, when it comes. A step
    for which a process has not asked again says that it is there.
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
    """What the store knows needs nobody else: conversations go on, and new ones begin."""
    platform = own_platform
    async with platform.conversation("meridian", "support") as conversation:
        before = await conversation.ask()
        await platform.kill("agent_management")
        assert (await conversation.ask()).said["text"] == before.said["text"]
        async with platform.conversation("meridian", "support") as another:
            assert (await another.ask()).versions == before.versions
        # The store has nothing of this agent, and nobody can tell what there is.
        refusal = await platform.refusal(platform.talk("lumen", "billing").headers)
        assert (refusal.status, refusal.reason) == (503, "UNAVAILABLE")
        assert "retry-after" in refusal.headers
        assert (await conversation.ask()).versions == before.versions


async def test_the_store_is_gone(own_platform: Platform) -> None:
    """Open conversations go on with what they had last; none begins, and no change is taken."""
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
        # It has had no turn, so there is nothing that it had last.
        assert (await silent.ask()).said == {
            "error": "UNAVAILABLE",
            "message": "the conversation's context cannot be had",
        }
        refusal = await platform.refusal(platform.talk("meridian", "support").headers)
        assert (refusal.status, refusal.reason) == (503, "UNAVAILABLE")
        assert "retry-after" in refusal.headers
        response = await platform.patch(SUPPORT.text, {"rag_config": {"top_k": 3}})
        assert response.status_code == 503
        assert "repeat it" in response.text
        assert (await conversation.ask()).versions == before.versions
