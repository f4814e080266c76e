"""The page over HTTP and its WebSocket, on the platform with Relevo."""

import asyncio
import re

import pytest
from nooble.page.parts import BREAKABLE, Part
from nooble.wiring import STALENESS
from platform_page.made import AGENT
from support.platform.nooble import STEPS, kill
from support.platform.page import ServedPage, form_of
from support.waiting import until_async
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("platform page"),
]
EVIL = "http://evil.example"
LAST_KNOWN = 'data-look="source-last_known"'


def part(served: ServedPage, id_: str) -> Part:
    """A process of the platform."""
    return served.page.platforms["relevo"].parts.named(id_)


async def test_served_at_once(served: ServedPage) -> None:
    """The page is there before the platform runs, says how far it is, and may ask nobody else."""
    answer = await served.get("relevo")
    assert answer.status_code == 200
    assert "of 11 processes" in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert " style=" not in answer.text
    assert not re.search(r"<script(?![^>]*src=)", answer.text)
    assert (await served.get("nonsense")).status_code == 404  # type: ignore[arg-type]


async def test_a_turn(served: ServedPage) -> None:
    """A turn is answered, and its way has each service's step, with settings and their source."""
    async with served.chat("relevo", "c-turn") as chat:
        answer = await chat.ask()
    assert answer["text"]
    assert "one configuration" in answer["note"]
    services = re.findall(r"<strong>(\w+) <span", answer["html"])
    assert tuple(services) == STEPS
    assert "llm_config.max_tokens" in answer["html"]
    turn = served.page.platforms["relevo"].log.last
    assert turn
    assert (turn.mode, len(turn.steps), turn.outdated) == ("relevo", len(STEPS), frozenset())
    assert {step.source for step in turn.steps} <= {"near_cache", "rider", "store", "loader"}


async def test_steps_come_while_the_turn_runs(served: ServedPage) -> None:
    """The page gets the way anew with each step, before the answer."""
    async with served.chat("relevo", "c-steps") as chat:
        await chat.connection.send("Can I return a tent?")
        message = await chat.receive()
        assert message["kind"] == "way"
        assert "under way" in message["html"]


async def test_a_change(served: ServedPage) -> None:
    """A change is acknowledged after the time that it explains; the next turn stands out by it."""
    async with served.chat("relevo", "c-change") as chat:
        await chat.ask()
        form = form_of((await served.get("relevo", "/form")).text)
        answer = await served.post("relevo", "/form", {**form, "llm_config.max_tokens": "31"})
        assert answer.status_code == 200
        assert "acknowledged after" in answer.text
        assert f"waits for {STALENESS:g} s" in answer.text
        due = served.page.platforms.changes.due("relevo")
        after = await chat.ask()
    assert due[AGENT] == 2
    assert re.search(
        r"llm_config\.max_tokens</span> <s[^>]*>\d+</s> → <span[^>]*>31<", after["html"]
    )
    assert "version 2" in after["html"]
    assert "outdated" not in after["html"]


async def test_a_wrong_value(served: ServedPage) -> None:
    """An error stands at its field, with what was entered, and nothing is changed."""
    before = dict(served.page.platforms.changes.due("relevo"))
    form = form_of((await served.get("relevo", "/form")).text)
    answer = await served.post(
        "relevo", "/form", {**form, "llm_config.max_tokens": "many", "llm_config.model": "m-9"}
    )
    assert 'id="error-llm-config-max-tokens"' in answer.text
    assert 'aria-invalid="true" aria-describedby="error-llm-config-max-tokens"' in answer.text
    assert 'value="many"' in answer.text
    assert 'value="m-9"' in answer.text
    assert served.page.platforms.changes.due("relevo") == before


async def test_nothing_changed(served: ServedPage) -> None:
    """A form that is sent as it came changes nothing, and says so."""
    form = form_of((await served.get("relevo", "/form")).text)
    assert "no value differs" in (await served.post("relevo", "/form", form)).text


async def test_the_store_is_killed(served: ServedPage) -> None:
    """A turn goes on with the last known state and says so; after the restart all is current.

    A change that could not be published is not acknowledged, and can be repeated.
    """
    async with served.chat("relevo", "c-store") as chat:
        await chat.ask()
        store = part(served, "store-1")
        pid = store.pid
        assert (await served.post("relevo", "/processes/store-1/kill")).status_code == 204
        assert store.state == "killed"
        assert (await served.post("relevo", "/processes/store-1/kill")).status_code == 409

        async def is_last_known() -> bool:
            answer = await chat.ask()
            assert answer["text"], answer
            return LAST_KNOWN in answer["html"] and "could not be asked" in answer["note"]

        await until_async(is_last_known)
        form = form_of((await served.get("relevo", "/form")).text) | {"rag_config.top_k": "1"}
        refused = await served.post("relevo", "/form", form)
        assert "not acknowledged" in refused.text
        assert "not published yet" in refused.text
        assert (await served.post("relevo", "/processes/store-1/restart")).status_code == 204
        assert (store.state, store.pid != pid) == ("running", True)

        async def is_current() -> bool:
            answer = await chat.ask()
            assert answer["text"], answer
            return LAST_KNOWN not in answer["html"]

        await until_async(is_current)
        repeated = await served.post("relevo", "/form", form)
        assert ": acknowledged after" in repeated.text
        assert "rag_config.top_k" in (await chat.ask())["html"]
        assert "no value differs" in (await served.post("relevo", "/form", form)).text


@pytest.mark.parametrize("id_", ["contexts-1", "embedding-1", "execution-1", "query-1"])
async def test_a_process_is_killed_and_started_again(served: ServedPage, id_: str) -> None:
    """Each may be killed, and turns are answered after it was started again."""
    killed = part(served, id_)
    assert (await served.post("relevo", f"/processes/{id_}/kill")).status_code == 204
    assert (await served.post("relevo", f"/processes/{id_}/restart")).status_code == 204
    assert killed.state == "running"
    async with served.chat("relevo", f"c-{id_}") as chat:

        async def is_answered() -> bool:
            answer = await chat.ask()
            assert answer["text"] or "data-look" in answer["note"]
            return bool(answer["text"])

        await until_async(is_answered, within=90)


async def test_a_process_that_ends_by_itself(served: ServedPage) -> None:
    """Its state is seen, and it can be started again."""
    ended = part(served, "query-2")
    await kill(ended.pid)
    await until_async(lambda: ended.state == "ended")
    assert "failed" in (await served.get("relevo")).text
    assert (await served.post("relevo", "/processes/query-2/restart")).status_code == 204
    assert ended.state == "running"


async def test_what_may_be_killed(served: ServedPage) -> None:
    """Nothing but the store, the contexts' Redis and workers; and no process of anybody else."""
    for each in served.page.platforms["relevo"].parts.all:
        if each.name not in BREAKABLE:
            answer = await served.post("relevo", f"/processes/{each.id}/kill")
            assert answer.status_code == 409
            assert each.state == "running"
    for path in ("/processes/1/kill", "/processes/store-1/stop", "/processes/store-9/kill"):
        assert (await served.post("relevo", path)).status_code == 404


async def test_only_this_page_may_change_something(served: ServedPage) -> None:
    """A page of another origin cannot kill, change, or chat."""
    for path in ("/processes/store-1/kill", "/form"):
        assert (await served.post("relevo", path, None, EVIL, "cross-site")).status_code == 403
    url = served.address("relevo", "/chat").replace("http", "ws", 1)
    with pytest.raises(InvalidStatus):
        async with connect(url, additional_headers={"origin": EVIL}):
            pass  # not reached
    assert part(served, "store-1").state == "running"


async def test_one_turn_at_a_time(served: ServedPage) -> None:
    """Two windows with one conversation do not mix their turns: the second is told to wait."""
    async with served.chat("relevo", "c-two") as one, served.chat("relevo", "c-two") as other:
        answers = await asyncio.gather(one.ask(), other.ask())
    kinds = sorted(answer["kind"] for answer in answers)
    assert kinds in (["answer", "busy"], ["answer", "answer"])  # one may have ended before
