"""Conversations on a healthy platform: turns, changes, and the calls that they cost."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from relevo_client import ContextKey
from support.platform.nooble import STEPS, WORKERS, Platform
from support.waiting import until_async

pytestmark = pytest.mark.asyncio(loop_scope="module")

SUPPORT = ContextKey("agent_config", "meridian", "support")


def writes(platform: Platform) -> int:
    """The number of writes to the store so far."""
    with platform.redis.client() as client:
        logs = [name for name in client.names("relevo") if name.endswith(":log")]
        return sum(client("XLEN", name) for name in logs)


async def test_a_conversation(platform: Platform) -> None:
    """Each turn is answered by all services in order, from the agent's own collections."""
    async with platform.conversation("meridian", "support") as conversation:
        for text in ("Can I return a tent?", "When is the refund paid?", "Is my parcel lost?"):
            answer = await conversation.ask(text)
            assert answer.said["text"].endswith(
                "Is there anything else I can do for you? \u2013 Nora"
            )
            assert tuple(seen.service for seen in answer.seen) == STEPS
            assert answer.versions.keys() == {
                SUPPORT.text,
                "collection_config:meridian:returns",
                "collection_config:meridian:shipping",
            }


async def test_what_was_said_counts(platform: Platform) -> None:
    """An agent with a memory finds passages by earlier messages of the same conversation."""
    before = "What is the night rate for charging electric cars?"
    async with (
        platform.conversation("lumen", "billing") as one,
        platform.conversation("lumen", "billing") as other,
    ):
        await one.ask(before)
        assert "22:00" in (await one.ask("From when to when does that apply?")).said["text"]
        assert "22:00" not in (await other.ask("From when to when does that apply?")).said["text"]


async def test_replicas_share_the_work(platform: Platform) -> None:
    """All replicas take part, and each handles a step like the others."""
    async with platform.conversation("meridian", "advisor") as conversation:
        missing = {service: platform.named(service) for service in WORKERS}
        assert [len(pids) for pids in missing.values()] == [2, 2, 2]
        expected = (await conversation.ask()).said["text"]
        for _ in range(50):
            answer = await conversation.ask()
            assert answer.said["text"] == expected
            assert answer.pids("orchestrator") == platform.named("orchestrator")
            assert answer.versions
            for service in WORKERS:
                missing[service] -= answer.pids(service)
            if not any(missing.values()):
                break
        assert not any(missing.values())


@pytest.mark.parametrize(
    "name, value, problem",
    [
        ("X-Agent-ID", "", "X-Agent-ID: must not be empty"),
        ("X-User-ID", "secret" * 50, "X-User-ID: must have at most 256 bytes"),
        ("X-Tenant-ID", "secret\tsecret", "X-Tenant-ID: must not contain control characters"),
    ],
)
async def test_malformed_headers(platform: Platform, name: str, value: str, problem: str) -> None:
    """A handshake is refused with the header's name and the problem, not with the value."""
    headers = {**platform.talk("meridian", "support").headers, name: value}
    refusal = await platform.refusal(headers)
    assert (refusal.status, refusal.reason) == (400, "INVALID_HEADER")
    assert problem in refusal.message
    assert "secret" not in refusal.message


async def test_no_headers(platform: Platform) -> None:
    """A handshake without a conversation is refused, and told which headers to send."""
    refusal = await platform.refusal({})
    assert (refusal.status, refusal.reason) == (400, "NO_CONVERSATION")


@pytest.mark.parametrize("agent_id", ["nobody", None])
async def test_an_agent_that_does_not_exist(platform: Platform, agent_id: str | None) -> None:
    """A conversation with an unknown agent, or with none, does not begin."""
    headers = platform.talk("meridian", agent_id or "").headers
    if agent_id is None:
        del headers["X-Agent-ID"]
    refusal = await platform.refusal(headers)
    assert (refusal.status, refusal.reason) == (409, "NOT_FOUND")


@pytest.mark.parametrize("key", ["conversation:lumen:c", "not a key"])
async def test_references_of_clients(platform: Platform, key: str) -> None:
    """A client's references are ignored, well-formed or not."""
    forged = {"context-key": key, "context-revision": "1"}
    async with platform.conversation("meridian", "support", **forged) as conversation:
        assert SUPPORT.text in (await conversation.ask()).versions


async def test_a_change_is_one_write(platform: Platform) -> None:
    """One write changes all open conversations of an agent from their next turn, and no others."""
    async with (
        platform.conversation("meridian", "support") as one,
        platform.conversation("meridian", "support") as two,
        platform.conversation("meridian", "advisor") as other,
    ):
        before = [(await each.ask()).versions for each in (one, two, other)]
        count = writes(platform)
        version = await platform.change(SUPPORT, {"llm_config": {"max_tokens": 55}})
        assert writes(platform) == count + 1
        assert version == before[0][SUPPORT.text] + 1
        after = [(await each.ask()).versions for each in (one, two, other)]
    changed = {**before[0], SUPPORT.text: version}
    assert after == [changed, changed, before[2]]


@pytest.mark.parametrize("halted", ["execution", "embedding", "query"])
async def test_a_turn_keeps_what_it_began_with(platform: Platform, halted: str) -> None:
    """A change during a turn affects none of its services, and all of them in the next turn."""
    queue = {
        "execution": "execution.agent_run",
        "embedding": "embedding.generate",
        "query": "query.search",
    }[halted]
    async with platform.conversation("meridian", "support") as conversation:
        before = (await conversation.ask()).versions
        count = platform.entries(queue)
        with platform.halted(halted):
            await conversation.say()
            await until_async(lambda: platform.entries(queue) > count)
            version = await platform.change(SUPPORT, {"rag_config": {"top_k": 3}})
        assert (await conversation.answer()).versions == before
        assert (await conversation.ask()).versions == {**before, SUPPORT.text: version}


async def test_changes_that_are_none(platform: Platform) -> None:
    """A malformed change, or one of an unknown configuration, is refused and changes nothing."""
    async with platform.conversation("meridian", "support") as conversation:
        before = (await conversation.ask()).versions
        for key, changes, status in (
            ("agent_config:meridian:nobody", {}, 404),
            ("agent_config:meridian", {}, 400),
            (SUPPORT.text, {"llm_config": 5}, 400),
            (SUPPORT.text, {"no_such_section": {"a": 1}}, 400),
            (SUPPORT.text, ["llm_config"], 400),
        ):
            assert (await platform.patch(key, changes)).status_code == status, changes
        assert (await conversation.ask()).versions == before


async def test_agent_management_is_asked_once(platform: Platform) -> None:
    """For concurrent conversations, agent management is called once per configuration."""
    reads = await platform.reads()
    async with AsyncExitStack() as stack:

        async def converse() -> None:
            opening = platform.conversation("clara", "reception")
            conversation = await stack.enter_async_context(opening)
            for _ in range(2):
                assert (await conversation.ask("When are visiting hours?")).versions

        await asyncio.gather(*(converse() for _ in range(4)))
    assert await platform.reads() == reads + 3
