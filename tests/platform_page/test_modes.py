"""The three modes side by side: what is seen of the difference."""

import re

import pytest
from nooble.wiring import MODES, Mode
from support.platform.page import ServedPage, form_of

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("platform modes"),
]


async def changed(served: ServedPage, value: str) -> str:
    """Change the tokens of an answer, and return the page's text about it."""
    form = form_of((await served.get("relevo", "/form")).text)
    answer = await served.post("relevo", "/form", {**form, "llm_config.max_tokens": value})
    return answer.text


async def test_the_difference(served: ServedPage) -> None:
    """After a change, the copy in Redis is outdated, and says so; the other modes are current.

    A mode that starts later has the changes that were made before. Copies have an age, and the
    table has each mode's calls.
    """
    await served.get("relevo", "/form")  # until it runs
    await changed(served, "33")
    for mode in MODES:
        async with served.chat(mode, "c-1") as chat:
            first = await chat.ask()
            assert "version 2" in first["html"], mode
    assert len(re.findall("acknowledged after", await changed(served, "34"))) == len(MODES)
    notes: dict[Mode, str] = {}
    for mode in MODES:
        async with served.chat(mode, "c-1") as chat:
            answer = await chat.ask()
            notes[mode] = answer["note"]
            assert f"version {2 if mode == 'redis-json' else 3}" in answer["html"]
    assert "Outdated" in notes["redis-json"]
    assert "Version 3 was acknowledged" in re.sub(r"\s+", " ", notes["redis-json"])
    assert "Outdated" not in notes["none"] + notes["relevo"]
    turns = served.page.platforms.last_turns()
    assert turns["none"].calls.management == 7  # one for each step
    assert turns["redis-json"].calls.management == 0
    assert turns["relevo"].calls.management == 0
    assert {step.source for step in turns["none"].steps} == {"management"}
    assert {step.source for step in turns["redis-json"].steps} == {"redis"}
    page = (await served.get("redis-json", conversation="c-1")).text
    table = page[page.index('id="compare"') :]
    assert table.count('data-look="mode-') >= len(MODES)
    assert "outdated" in table


async def test_the_text_comes_along(served: ServedPage) -> None:
    """Another mode's page offers the text that was asked last, so that it can be sent again."""
    async with served.chat("relevo", "c-2") as chat:
        await chat.ask("Is my parcel lost?")
    page = (await served.get("none", conversation="c-2")).text
    assert ">Is my parcel lost?</textarea>" in page
    assert 'href="/redis-json?agent=meridian%2Fsupport' in page
