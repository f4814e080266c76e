"""Failing actions on a running platform: killed workers, and poison messages."""

from collections.abc import Callable

import pytest
from faststream.redis import RedisBroker
from nooble.wiring import EXECUTION_CALLBACK, GENERATE_EMBEDDING, RUN_AGENT, SEARCH
from relevo_client import ContextKey
from relevo_client.actions import DomainAction
from relevo_client.actions.faststream import ActionQueues
from support.platform.nooble import LONG, STEPS, Platform, kill, resume
from support.waiting import until_async

pytestmark = pytest.mark.asyncio(loop_scope="module")

TIMES = {"redeliver_after": 1.0}
HELPDESK = ContextKey("agent_config", "clara", "it-helpdesk")


class Log:
    """The log lines of the services during a test."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._lines: list[str] = []

    def lines(self, *parts: str) -> list[str]:
        """The lines with all of these parts."""
        self._lines += self._capsys.readouterr().err.splitlines()
        return [line for line in self._lines if all(part in line for part in parts)]


@pytest.fixture
def log(capsys: pytest.CaptureFixture[str]) -> Log:
    """The log of the services."""
    return Log(capsys)


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait until a condition is true, with time for a busy machine."""
    await until_async(condition, within=LONG, what=what)


async def test_a_worker_that_is_killed(platform: Platform, log: Log) -> None:
    """An action whose worker is killed is handled by another one, and the log reports it."""
    async with platform.conversation("meridian", "support") as conversation:
        expected = await conversation.ask("Is my parcel lost?")
        count = platform.entries(SEARCH)
        with platform.halted("query") as workers:
            await conversation.say("Is my parcel lost?")
            await until(lambda: platform.entries(SEARCH) > count, "the search is asked for")
            # The search requests embeddings, so it does not end.
            with platform.halted("embedding"):
                (killed,) = platform.holders(SEARCH, "query") or {min(workers): 1}
                resume(killed)
                await until(lambda: platform.begun(SEARCH, "query") == [1], "it begins")
                await kill(killed)
        answer = await conversation.answer()
        assert answer.said["text"] == expected.said["text"]
        assert tuple(seen.service for seen in answer.seen) == STEPS
        assert answer.pids("query") == workers - {killed}
        assert answer.versions == expected.versions
        await until(lambda: not platform.holders(SEARCH, "query"), "the search is done")
        # No further message comes: the turn was answered once.
        assert (await conversation.ask("Where?")).said["text"] != expected.said["text"]
    (line,) = log.lines("is begun again")
    assert line.startswith("query: ")
    assert "delivery 2 of 3" in line
    assert not log.lines("comes again")


async def test_what_is_done_twice(platform: Platform, log: Log) -> None:
    """A repeated step leaves a trace in the log, and no second answer."""
    async with platform.conversation("meridian", "support") as conversation:
        answer = await conversation.ask("Is my parcel lost?")
        with platform.redis.client() as client:
            ((_, fields),) = client("XREVRANGE", SEARCH, "+", "-", "COUNT", 1)
            client("XADD", SEARCH, "*", *(part for field in fields.items() for part in field))
        await until(lambda: log.lines("orchestrator: ", "its answer comes again"), "the trace")
        assert (await conversation.ask("Where?")).said["text"] != answer.said["text"]


@pytest.mark.parametrize("queue", [RUN_AGENT, EXECUTION_CALLBACK, GENERATE_EMBEDDING, SEARCH])
async def test_garbage(platform: Platform, log: Log, queue: str) -> None:
    """Unreadable messages become dead letters, whole; conversations continue."""
    before = len(platform.dead_letters())
    with platform.redis.client() as client:
        client("XADD", queue, "*", "field", b"\xff garbage 1")
        client("XADD", queue, "*", "__data__", b"\xff garbage 2")
        client("XADD", queue, "*", "__data__", b'{"data": "garbage 3", "headers": {}}')
    async with platform.conversation("meridian", "advisor") as conversation:
        assert (await conversation.ask()).versions
    await until(lambda: len(platform.dead_letters()) == before + 3, "the dead letters")
    letters = platform.dead_letters()[before:]
    assert all(b"INVALID_FIELD" in letter for letter in letters)
    for number in (b"1", b"2", b"3"):
        assert any(b"garbage " + number in letter for letter in letters)
    await until(lambda: len(log.lines("is a dead letter, INVALID_FIELD")) == 3, "the traces")
    assert not log.lines("garbage")


async def test_an_action_without_a_context(platform: Platform, log: Log) -> None:
    """An action without a context is refused, and its sender gets the reason."""
    before = len(platform.dead_letters())
    replies: list[DomainAction] = []
    sender = ActionQueues(RedisBroker(platform.redis.url), None, service="test")

    @sender.handle("test.callback")
    async def receive(action: DomainAction) -> None:
        replies.append(action)

    action = DomainAction(
        action_type="execution.agent.run",
        tenant_id="meridian",
        callback_queue="test.callback",
        callback_action_type="test.run.done",
        payload={"text": "Can I return a tent?", "history": []},
    )
    async with sender:
        await sender.send(action, RUN_AGENT)
        await until(lambda: replies, "the reply")
    (reply,) = replies
    assert reply.correlation_id == action.action_id
    assert reply.error
    assert reply.error.reason == "NO_CONTEXT"
    (letter,) = platform.dead_letters()[before:]
    assert action.action_id.encode() in letter
    await until(lambda: log.lines(action.action_id, "is a dead letter, NO_CONTEXT"), "the trace")


async def test_an_action_that_always_fails(platform: Platform, log: Log) -> None:
    """An action that always fails becomes a dead letter; its conversation is told, others go on."""
    before = len(platform.dead_letters())
    async with (
        platform.conversation("clara", "it-helpdesk") as poisoned,
        platform.conversation("meridian", "support") as other,
    ):
        model = {"model": "no-such-model"}
        await platform.change(HELPDESK, {"embedding_config": model})
        await poisoned.say("How do I change my password?")
        await until(lambda: log.lines("will be delivered again"), "the first failure")
        assert (await other.ask()).versions
        assert len(platform.dead_letters()) == before
        answer = await poisoned.answer()
        assert answer.said == {
            "error": "HANDLER_FAILED",
            "message": "the action's handler failed",
        }
        (letter,) = platform.dead_letters()[before:]
        assert b"embedding.text.generate" in letter
        assert len(log.lines("will be delivered again, HANDLER_FAILED")) == 2
        await until(lambda: log.lines("is a dead letter, HANDLER_FAILED"), "the trace")
        await platform.change(HELPDESK, {"embedding_config": {"model": "hashed-words"}})
        assert (await poisoned.ask("How do I change my password?")).versions
