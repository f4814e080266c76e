"""The turns of a mode: which steps are whose, and which turn came before."""

import pytest
from nooble.page.log import BusyError, TurnLog
from nooble.page.turns import Calls, Turn
from platform_page.made import AGENT, step


def begun(log: TurnLog, conversation: str, watched: list[Turn] | None = None) -> Turn:
    """Begin a turn, and return it."""
    watch = (watched if watched is not None else []).append
    return log.begin(AGENT, conversation, "Hello", {}, watch).turn


def test_steps_find_their_turn() -> None:
    """A first step names its conversation; later ones name the turn only. Others are dropped."""
    log = TurnLog("relevo")
    watched: list[Turn] = []
    one, other = begun(log, "c-1", watched), begun(log, "c-2")
    log.hear(step("orchestrator", conversation="c-1", turn="t-1"))
    log.hear(step("orchestrator", conversation="c-2", turn="t-2"))
    log.hear(step("execution", turn="t-1"))
    log.hear(step("execution", turn="t-9"))
    log.hear(step("orchestrator", conversation="c-9", turn="t-8"))
    assert [each.service for each in one.steps] == ["orchestrator", "execution"]
    assert [each.service for each in other.steps] == ["orchestrator"]
    assert watched == [one, one]


def test_a_conversation_has_one_turn_at_a_time() -> None:
    """A second turn is refused until the first has ended; steps that come later are dropped."""
    log = TurnLog("relevo")
    under_way = log.begin(AGENT, "c-1", "Hello", {}, lambda _: None)
    log.hear(step(conversation="c-1"))
    with pytest.raises(BusyError):
        begun(log, "c-1")
    log.end(under_way, {"text": "Hi"}, under_way.turn.began + 1, Calls(1, 2, 3))
    log.hear(step("execution"))
    assert (len(under_way.turn.steps), under_way.turn.seconds) == (1, 1)
    assert log.last is under_way.turn
    assert under_way.turn.answer == "Hi"
    begun(log, "c-1")


def test_the_turn_before() -> None:
    """It is the last answered one of the same agent."""
    log = TurnLog("relevo")
    for conversation, said in (("c-1", {}), ("c-2", {"error": "TIMEOUT"})):
        under_way = log.begin(AGENT, conversation, "Hello", {}, lambda _: None)
        log.end(under_way, said, 1.0, Calls())
    now = begun(log, "c-3")
    before = log.before(now)
    assert before
    assert (before.number, now.number) == (1, 3)
    assert log.before(before) is None


async def test_an_answered_turn_does_not_wait_long_for_its_steps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A datagram that was lost holds nothing up."""
    monkeypatch.setattr("nooble.page.log.PATIENCE", 0.01)
    log = TurnLog("relevo")
    under_way = log.begin(AGENT, "c-1", "Hello", {}, lambda _: None)
    under_way.hear(step())
    await under_way.until_stepped(1)
    await under_way.until_stepped(2)
    assert len(under_way.turn.steps) == 1


def test_calls_of_a_server_that_was_restarted_are_not_known() -> None:
    """A count that is lower than before, or missing, tells nothing."""
    assert Calls(5, 6, 7).since(Calls(1, 2, 3)) == Calls(4, 4, 4)
    assert Calls(0, None, 7).since(Calls(1, 2, None)) == Calls(None, None, None)
