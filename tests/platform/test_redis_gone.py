"""Redis is killed under a running platform, and returns with or without its data."""

import asyncio
import time

import pytest
from nooble.wiring import RUN_AGENT
from relevo_client import ContextKey
from support.platform.nooble import LONG, Answer, Conversation, Platform
from support.waiting import until_async

pytestmark = pytest.mark.asyncio(loop_scope="module")

TIMES = {"redeliver_after": 1.0, "turn_timeout": 30.0}
SUPPORT = ContextKey("agent_config", "meridian", "support")
CLEAR = {"NO_QUEUES", "TIMEOUT", "UNAVAILABLE", "STORE_UNAVAILABLE", "STORE_BEHIND", "NO_ENTRY"}
"""The reasons that a conversation may get while Redis is away, or for what Redis lost.

STORE_UNAVAILABLE is for a turn whose conversation the orchestrator has only just begun, so that
there is no last known context yet. The last two are for a turn that begins with the
orchestrator's last known context, which the store no longer has.
"""


async def restart(platform: Platform, *, with_data: bool) -> None:
    """Kill Redis, and start it again."""
    platform.redis.stop()
    if not with_data:
        platform.redis.lose_data()
    await asyncio.to_thread(platform.redis.start)


async def until_answered(conversation: Conversation) -> Answer:
    """Take turns until one is answered; each failed one must have a clear reason."""
    answer: Answer | None = None

    async def is_answered() -> bool:
        nonlocal answer
        answer = await conversation.ask()
        assert answer.error in {"", *CLEAR}
        return not answer.error

    await until_async(is_answered, within=LONG, what="an answer")
    assert answer
    return answer


@pytest.mark.parametrize(
    "with_data",
    [
        pytest.param(True, id="with data"),  # which promises no time
        pytest.param(False, id="without data", marks=pytest.mark.timing),
    ],
)
async def test_redis_is_restarted(platform: Platform, *, with_data: bool) -> None:
    """A turn in flight is answered, or fails within 3 s if Redis lost its data.

    Later turns, and new conversations, work without the data, too: contexts are created again from
    agent management, and the queues' consumers create their groups.
    """
    async with platform.conversation("meridian", "support") as conversation:
        version = await platform.change(SUPPORT, {"llm_config": {"max_tokens": 50}})
        before = await conversation.ask()
        assert before.versions[SUPPORT.text] == version
        with platform.halted("execution"):
            count = platform.entries(RUN_AGENT)
            await conversation.say()
            await until_async(lambda: platform.entries(RUN_AGENT) > count)
            await restart(platform, with_data=with_data)
            back = time.monotonic()
            if not with_data:
                assert (await conversation.answer()).error == "NO_QUEUES"
                assert time.monotonic() - back < 3
        if with_data:
            under_way = await conversation.answer()
            # If Redis had no time to acknowledge the action, the turn fails at once.
            if under_way.error != "NO_QUEUES":
                assert under_way.said["text"] == before.said["text"]
        after = await until_answered(conversation)
        assert after.said["text"] == before.said["text"]
        assert after.versions == before.versions
        version = await platform.change(SUPPORT, {"llm_config": {"max_tokens": 55}})
        assert (await until_answered(conversation)).versions[SUPPORT.text] == version
        async with platform.conversation("meridian", "support") as another:
            assert (await until_answered(another)).versions[SUPPORT.text] == version


@pytest.mark.timing
async def test_redis_is_emptied(platform: Platform) -> None:
    """If a running Redis loses its data, a turn in flight fails within 3 s."""
    async with platform.conversation("meridian", "support") as conversation:
        before = await until_answered(conversation)
        with platform.halted("execution"):
            count = platform.entries(RUN_AGENT)
            await conversation.say()
            await until_async(lambda: platform.entries(RUN_AGENT) > count)
            with platform.redis.client() as client:
                client("FLUSHALL")
            emptied = time.monotonic()
            assert (await conversation.answer()).error == "NO_QUEUES"
            assert time.monotonic() - emptied < 3
        assert (await until_answered(conversation)).said["text"] == before.said["text"]


async def test_redis_is_away(platform: Platform) -> None:
    """Without Redis, a turn fails with a clear reason, and its open connection remains usable."""
    async with platform.conversation("meridian", "support") as conversation:
        before = await until_answered(conversation)
        platform.redis.stop()
        try:
            answer = await conversation.ask()
            assert answer.error in CLEAR
            assert answer.said["message"]
            refusal = await platform.refusal(platform.talk("meridian", "support").headers)
            assert (refusal.status, refusal.reason) == (503, "UNAVAILABLE")
        finally:
            await asyncio.to_thread(platform.redis.start)
        assert (await until_answered(conversation)).versions == before.versions
